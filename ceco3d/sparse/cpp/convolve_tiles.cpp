// Sparse convolution of bfloat16 in tile registers (tiles.h): sums stay in them over all offsets of 16 output rows.
//
// The input rows of an offset are copied next to each other, zeros where there is no neighbor.
#include <algorithm>
#include <utility>
#include <vector>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include "common.h"
#include "tiles.h"

constexpr int MAX_COLUMN_TILES = 6;  // of sums, beside one tile of rows and one of weights

struct Layer {
  const Unit *in;      // (num_in, steps, TILE): pairs of channels
  const Unit *weight;  // (offsets, steps, column_tiles, TILE, TILE): pairs of channels x columns
  const float *bias;   // (columns) or null
  uint16_t *out;       // (num_out, columns)
  Size steps, columns;
  Size column_tiles() const { return divide_up(columns, TILE); }
};

template <class Tiles, int... n>
[[gnu::always_inline]] WITH_TILES static inline void zero_all(std::integer_sequence<int, n...>) {
  (Tiles::template zero<n>(), ...);
}

template <class Tiles, int... n>
[[gnu::always_inline]] WITH_TILES static inline void store_all(float *to, std::integer_sequence<int, n...>) {
  (Tiles::template store<n>(to + n * TILE, 4 * TILE * MAX_COLUMN_TILES), ...);
}

template <class Tiles, int... n>
[[gnu::always_inline]] WITH_TILES static inline void add_all(const Unit *left, Size stride, const Unit *right,
                                                             std::integer_sequence<int, n...>) {
  Tiles::template load<6>(left, 4 * stride);
  ((Tiles::template load<7>(right + n * TILE_UNITS, 4 * TILE), Tiles::template multiply_add<n, 6, 7>()), ...);
}

// Copies the input rows of one offset: to (TILE, steps, TILE) units
static void gather(const Layer &layer, const int32_t *neighbors, Unit *to) {
  static const Unit none[TILE] = {};
  for (int r = 0; r < TILE; r++) {
    const bool real = neighbors[r] >= 0;
    const Unit *from = real ? layer.in + neighbors[r] * layer.steps * TILE : none;
    for (Size step = 0; step < layer.steps; step++, to += TILE, from += real ? TILE : 0) std::memcpy(to, from, 4 * TILE);
  }
}

// sums (TILE, MAX_COLUMN_TILES * TILE) of 16 rows and `count` tiles of columns from `first` on.
// neighbors (offsets, TILE): their input rows, -1 where there is none; used (offsets): whether there is any
template <class Tiles, int count>
WITH_TILES static void convolve_tile(const Layer &layer, const int32_t *neighbors, const uint8_t *used, Size offsets,
                                     Size first, Unit *rows, float *sums) {
  constexpr std::make_integer_sequence<int, count> all{};
  const Size width = layer.column_tiles() * TILE_UNITS;
  zero_all<Tiles>(all);
  for (Size k = 0; k < offsets; k++) {
    if (!used[k]) continue;
    Unit *copy = rows + k % 2 * TILE_UNITS * layer.steps;  // two: a copy need not wait for the products of the last
    gather(layer, neighbors + k * TILE, copy);
    const Unit *right = layer.weight + k * layer.steps * width + first * TILE_UNITS;
    for (Size step = 0; step < layer.steps; step++)
      add_all<Tiles>(copy + step * TILE, layer.steps * TILE, right + step * width, all);
  }
  store_all<Tiles>(sums, all);
}

template <class Tiles>
static auto convolve_tile_of(Size count) {
  switch (count) {
    case 1: return convolve_tile<Tiles, 1>;
    case 2: return convolve_tile<Tiles, 2>;
    case 3: return convolve_tile<Tiles, 3>;
    case 4: return convolve_tile<Tiles, 4>;
    case 5: return convolve_tile<Tiles, 5>;
    default: return convolve_tile<Tiles, 6>;
  }
}

static void write_rows(const Layer &layer, const float *sums, Size row, Size rows, Size column, Size columns) {
  for (Size r = 0; r < rows; r++, sums += MAX_COLUMN_TILES * TILE) {
    uint16_t *to = layer.out + (row + r) * layer.columns + column;
    if (layer.bias)
      for (Size n = 0; n < columns; n++) to[n] = to_bf16(sums[n] + layer.bias[column + n]);
    else
      for (Size n = 0; n < columns; n++) to[n] = to_bf16(sums[n]);
  }
}

// The input rows of a block of output rows, a tile at a time
struct Neighbors {
  std::vector<int32_t> rows;  // (tiles, offsets, TILE), -1 where there is none
  std::vector<uint8_t> used;  // (tiles, offsets): whether there is any
  explicit Neighbors(const Pairs &pairs)
      : rows(divide_up(pairs.block_rows, TILE) * pairs.offsets * TILE),
        used(divide_up(pairs.block_rows, TILE) * pairs.offsets) {}

  void find(const Pairs &pairs, Size block) {
    std::fill(rows.begin(), rows.end(), -1);
    std::fill(used.begin(), used.end(), 0);
    const Size *cuts = pairs.cuts + block * pairs.offsets;
    for (Size k = 0; k < pairs.offsets; k++)
      for (Size pair = cuts[k]; pair < cuts[k + pairs.offsets]; pair++) {
        const Size row = pairs.out[pair] - block * pairs.block_rows, at = row / TILE * pairs.offsets + k;
        rows[at * TILE + row % TILE] = pairs.in[pair];
        used[at] = 1;
      }
  }
};

template <class Tiles>
static void convolve(const Pairs &pairs, const Layer &layer, int threads) {
  const Size panels = divide_up(layer.column_tiles(), MAX_COLUMN_TILES);
  const Size blocks = divide_up(pairs.num_out, pairs.block_rows);
#pragma omp parallel num_threads(threads)
  {
    Neighbors neighbors(pairs);
    std::vector<Unit> rows(2 * TILE_UNITS * layer.steps);
    alignas(64) float sums[TILE * TILE * MAX_COLUMN_TILES];
    Tiles::begin();
#pragma omp for schedule(dynamic) nowait
    for (Size task = 0; task < blocks * panels; task++) {
      const Size block = task / panels, panel = task % panels, end = std::min(pairs.num_out, (block + 1) * pairs.block_rows);
      const Size first = panel * layer.column_tiles() / panels, last = (panel + 1) * layer.column_tiles() / panels;
      const auto kernel = convolve_tile_of<Tiles>(last - first);
      neighbors.find(pairs, block);
      for (Size row = block * pairs.block_rows, at = 0; row < end; row += TILE, at += pairs.offsets) {
        kernel(layer, &neighbors.rows[at * TILE], &neighbors.used[at], pairs.offsets, first, rows.data(), sums);
        write_rows(layer, sums, row, std::min<Size>(TILE, end - row), first * TILE,
                   std::min(layer.columns, last * TILE) - first * TILE);
      }
    }
    Tiles::end();
  }
}

// weight (offsets, channels, columns), or its transpose per offset -> the weight of a Layer
static void pack_weight(const float *weight, Unit *packed, Size offsets, Size channels, Size columns, bool transpose,
                        int threads) {
  const Size row_step = transpose ? 1 : columns, column_step = transpose ? channels : 1;
  const Size steps = divide_up(channels, 2 * TILE), tiles = divide_up(columns, TILE);
#pragma omp parallel for num_threads(threads)
  for (Size task = 0; task < offsets * steps; task++)
    for (Size tile = 0; tile < tiles; tile++) {
      const Size first = task % steps * 2 * TILE, column = tile * TILE;
      const float *from = weight + task / steps * channels * columns + first * row_step + column * column_step;
      uint16_t *to = (uint16_t *)(packed + (task * tiles + tile) * TILE_UNITS);
      const Size rows = std::min<Size>(2 * TILE, channels - first), valid = std::min<Size>(TILE, columns - column);
      if (rows < 2 * TILE || valid < TILE) std::fill_n(to, 2 * TILE_UNITS, 0);
      for (Size row = 0; row < rows; row++)
        for (Size n = 0; n < valid; n++)
          to[(row / 2 * TILE + n) * 2 + row % 2] = to_bf16(from[row * row_step + n * column_step]);
    }
}

static const bool has_tiles = AmxTiles::available();  // when the library is loaded: threads inherit the permission

#define BOTH(function) (emulate ? function<PlainTiles> : function<AmxTiles>)

extern "C" {

bool ceco3d_has_tiles() { return has_tiles; }

// weight (offsets, channels, columns) float, or its transpose per offset -> (offsets, steps, column_tiles, 16, 16) units
void ceco3d_tiles_pack_weight(int threads, const float *weight, void *packed, Size offsets, Size channels, Size columns,
                              bool transpose) {
  pack_weight(weight, (Unit *)packed, offsets, channels, columns, transpose, threads);
}

// As ceco3d_convolve; in (num_in, 32 * steps) and out bfloat16
void ceco3d_tiles_convolve(bool emulate, int threads, const Pairs *pairs, const void *in, const void *weight,
                           const float *bias, void *out, Size steps, Size columns) {
  const Layer layer{(const Unit *)in, (const Unit *)weight, bias, (uint16_t *)out, steps, columns};
  BOTH(convolve)(*pairs, layer, threads);
}
}
