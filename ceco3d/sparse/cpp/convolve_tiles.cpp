// Sparse convolution of bfloat16 in tile registers (tiles.h): sums stay in them over all offsets of 16 output rows.
//
// The input rows of an offset are copied next to each other, zeros where there is no neighbor. Fewer than 32 channels
// are padded to a power of two, and several offsets share a copy.
#include <algorithm>
#include <utility>
#include <vector>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include "common.h"
#include "tiles.h"

constexpr int MAX_COLUMN_TILES = 6;  // of sums, beside one tile of rows and one of weights
constexpr Size STEP = 2 * TILE;      // channels that one instruction multiplies

struct Layer {
  const Unit *in;      // (num_in, units)
  const Unit *weight;  // (groups, steps, column_tiles, TILE, TILE): pairs of channels x columns
  const float *bias;   // (columns) or null
  uint16_t *out;       // (num_out, columns)
  Size units, columns;
  // A group of offsets has TILE units or, of one offset, a multiple of them: `steps`.
  Size group() const { return std::max<Size>(1, TILE / units); }
  Size steps() const { return divide_up(units, TILE); }
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

// Copies the rows of a group of offsets: to (TILE, steps * TILE) units; neighbors (offsets of the group, TILE)
static void gather(const Layer &layer, const int32_t *neighbors, Unit *to) {
  static const Unit none[TILE] = {};
  if (layer.units < TILE) {
    for (int r = 0; r < TILE; r++)
      for (Size k = 0; k < layer.group(); k++) {
        const int32_t row = neighbors[k * TILE + r];
        const Unit *from = row < 0 ? none : layer.in + row * layer.units;
        for (Size i = 0; i < layer.units; i++) to[r * TILE + k * layer.units + i] = from[i];
      }
    return;
  }
  for (int r = 0; r < TILE; r++, to += layer.units) {
    const bool real = neighbors[r] >= 0;
    const Unit *from = real ? layer.in + neighbors[r] * layer.units : none;
    for (Size i = 0; i < layer.units; i += TILE) std::memcpy(to + i, from + (real ? i : 0), 4 * TILE);
  }
}

// sums (TILE, MAX_COLUMN_TILES * TILE) of 16 rows and `count` tiles of columns from `first` on; used: groups with pairs
template <class Tiles, int count>
WITH_TILES static void convolve_tile(const Layer &layer, const int32_t *neighbors, const uint8_t *used, Size groups,
                                     Size first, Unit *rows, float *sums) {
  constexpr std::make_integer_sequence<int, count> all{};
  const Size steps = layer.steps(), width = layer.column_tiles() * TILE_UNITS;
  zero_all<Tiles>(all);
  for (Size g = 0; g < groups; g++) {
    if (!used[g]) continue;
    Unit *copy = rows + g % 2 * TILE * TILE * steps;  // two, so that a copy need not wait for the products of the last
    gather(layer, neighbors + g * layer.group() * TILE, copy);
    const Unit *right = layer.weight + g * steps * width + first * TILE_UNITS;
    for (Size step = 0; step < steps; step++) add_all<Tiles>(copy + step * TILE, steps * TILE, right + step * width, all);
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

// The input rows of a block of output rows: rows (tiles, groups * group, TILE), -1 where there is none
struct Neighbors {
  std::vector<int32_t> rows;
  std::vector<uint8_t> used;  // (tiles, groups): whether any of them is there
  Size groups, group;

  Neighbors(const Pairs &pairs, Size group) : groups(divide_up(pairs.offsets, group)), group(group) {
    rows.resize(divide_up(pairs.block_rows, TILE) * groups * group * TILE);
    used.resize(divide_up(pairs.block_rows, TILE) * groups);
  }
  void find(const Pairs &pairs, Size block) {
    std::fill(rows.begin(), rows.end(), -1);
    std::fill(used.begin(), used.end(), 0);
    const Size *cuts = pairs.cuts + block * pairs.offsets;
    for (Size k = 0; k < pairs.offsets; k++)
      for (Size pair = cuts[k]; pair < cuts[k + pairs.offsets]; pair++) {
        const Size row = pairs.out[pair] - block * pairs.block_rows, tile = row / TILE;
        rows[(tile * groups * group + k) * TILE + row % TILE] = pairs.in[pair];
        used[tile * groups + k / group] = 1;
      }
  }
};

template <class Tiles>
static void convolve(const Pairs &pairs, const Layer &layer, int threads) {
  const Size panels = divide_up(layer.column_tiles(), MAX_COLUMN_TILES);
  const Size blocks = divide_up(pairs.num_out, pairs.block_rows);
#pragma omp parallel num_threads(threads)
  {
    Neighbors neighbors(pairs, layer.group());
    std::vector<Unit> rows(2 * TILE * TILE * layer.steps());
    alignas(64) float sums[TILE * TILE * MAX_COLUMN_TILES];
    Tiles::begin();
#pragma omp for schedule(dynamic) nowait
    for (Size task = 0; task < blocks * panels; task++) {
      const Size block = task / panels, panel = task % panels, end = std::min(pairs.num_out, (block + 1) * pairs.block_rows);
      const Size first = panel * layer.column_tiles() / panels, last = (panel + 1) * layer.column_tiles() / panels;
      const auto kernel = convolve_tile_of<Tiles>(last - first);
      neighbors.find(pairs, block);
      for (Size row = block * pairs.block_rows, tile = 0; row < end; row += TILE, tile++) {
        kernel(layer, &neighbors.rows[tile * neighbors.groups * neighbors.group * TILE],
               &neighbors.used[tile * neighbors.groups], neighbors.groups, first, rows.data(), sums);
        write_rows(layer, sums, row, std::min<Size>(TILE, end - row), first * TILE,
                   std::min(layer.columns, last * TILE) - first * TILE);
      }
    }
    Tiles::end();
  }
}

// weight (offsets, channels, columns), or its transpose per offset -> the weight of a Layer
static void pack_weight(const float *weight, Unit *packed, Size offsets, Size channels, Size columns, bool transpose,
                        Size units, int threads) {
  const Layer layer{nullptr, nullptr, nullptr, nullptr, units, columns};
  const Size row_step = transpose ? 1 : columns, column_step = transpose ? channels : 1;
  const Size group = layer.group(), steps = layer.steps(), tiles = layer.column_tiles();
  const auto value = [&](Size k, Size channel, Size column) {
    const bool real = k < offsets && channel < channels && column < columns;
    return real ? to_bf16(weight[k * channels * columns + channel * row_step + column * column_step]) : 0;
  };
#pragma omp parallel for num_threads(threads)
  for (Size task = 0; task < divide_up(offsets, group) * steps; task++)
    for (Size tile = 0; tile < tiles; tile++)
      for (Size n = 0; n < TILE; n++)
        for (Size i = 0; i < TILE; i++) {
          const Size at = task % steps * TILE + i, k = task / steps * group + at / units * (group > 1);
          const Size channel = 2 * (group > 1 ? at % units : at), column = tile * TILE + n;
          packed[((task * tiles + tile) * TILE + i) * TILE + n] =
              value(k, channel, column) | (Unit)value(k, channel + 1, column) << 16;
        }
}

#define BOTH(function) (emulate ? function<PlainTiles> : function<AmxTiles>)

extern "C" {

bool ceco3d_has_tiles() { return AmxTiles::available(); }

void ceco3d_tiles_pack_weight(int threads, const float *weight, void *packed, Size offsets, Size channels, Size columns,
                              bool transpose, Size units) {
  pack_weight(weight, (Unit *)packed, offsets, channels, columns, transpose, units, threads);
}

// As ceco3d_convolve; in (num_in, 2 * units) bfloat16, units a power of two up to 16 or a multiple of 16
void ceco3d_tiles_convolve(bool emulate, int threads, const Pairs *pairs, const void *in, const void *weight,
                           const float *bias, void *out, Size units, Size columns) {
  const Layer layer{(const Unit *)in, (const Unit *)weight, bias, (uint16_t *)out, units, columns};
  BOTH(convolve)(*pairs, layer, threads);
}
}
