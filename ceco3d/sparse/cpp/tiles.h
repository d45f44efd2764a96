// Tile registers: eight of 16 rows x 64 bytes, as AMX has them on Intel Xeons since 2023, and the same in plain C++.
#pragma once
#include <cstdint>
#include <cstring>
#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#define WITH_TILES __attribute__((target("amx-tile,amx-bf16")))
#else
#define WITH_TILES
#endif

constexpr int TILE = 16;               // rows of a tile, and its columns in units of 32 bits
constexpr int TILE_UNITS = TILE * TILE;

#if defined(__x86_64__) && defined(__linux__)
struct AmxTiles {
  // Whether the processor has the instructions and the system lets this process use the registers.
  static bool available() {
    unsigned a, b, c, d;
    const bool instructions = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1) && (d >> 24 & 1);
    constexpr int request_permission = 0x1023, tile_data = 18;
    return instructions && syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
  }
  WITH_TILES static void begin() {
    struct alignas(64) { uint8_t palette, start, zero[14]; uint16_t bytes[16]; uint8_t rows[16]; } config{};
    config.palette = 1;
    for (int t = 0; t < 8; t++) config.bytes[t] = 64, config.rows[t] = TILE;
    asm volatile("ldtilecfg %0" ::"m"(config));
  }
  WITH_TILES static void end() { asm volatile("tilerelease"); }
  template <int t> [[gnu::always_inline]] WITH_TILES static void zero() { asm volatile("tilezero %%tmm%c0" ::"i"(t)); }
  template <int t> [[gnu::always_inline]] WITH_TILES static void load(const void *from, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(t) : "memory");
  }
  template <int t> [[gnu::always_inline]] WITH_TILES static void store(void *to, int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(t) : "memory");
  }
  // c[m][n] += a[m][2k] * b[k][2n] + a[m][2k + 1] * b[k][2n + 1], summed over k
  template <int c, int a, int b> [[gnu::always_inline]] WITH_TILES static void multiply_add() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(c), "i"(a), "i"(b));
  }
};
#endif

struct PlainTiles {
  static bool available() { return false; }
  static inline thread_local uint32_t tiles[8][TILE][TILE];
  static void begin() {}
  static void end() {}
  template <int t> static void zero() { std::memset(tiles[t], 0, sizeof tiles[t]); }
  template <int t> static void load(const void *from, int64_t stride) {
    for (int m = 0; m < TILE; m++) std::memcpy(tiles[t][m], (const char *)from + m * stride, 4 * TILE);
  }
  template <int t> static void store(void *to, int64_t stride) {
    for (int m = 0; m < TILE; m++) std::memcpy((char *)to + m * stride, tiles[t][m], 4 * TILE);
  }
  template <int c, int a, int b> static void multiply_add() {
    for (int m = 0; m < TILE; m++)
      for (int k = 0; k < TILE; k++)
        for (int n = 0; n < TILE; n++) {
          float sum;
          std::memcpy(&sum, &tiles[c][m][n], 4);
          sum += number(tiles[a][m][k] << 16) * number(tiles[b][k][n] << 16);
          sum += number(tiles[a][m][k] & 0xffff0000) * number(tiles[b][k][n] & 0xffff0000);
          std::memcpy(&tiles[c][m][n], &sum, 4);
        }
  }
  static float number(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
  }
};

#if !defined(__x86_64__) || !defined(__linux__)
using AmxTiles = PlainTiles;
#endif
