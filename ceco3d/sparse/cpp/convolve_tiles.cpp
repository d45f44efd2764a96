// Sparse convolution of bfloat16 in tile registers (tiles.h): sums stay in them over all offsets.
//
// The input rows of an offset are copied next to each other, zeros where there is no neighbor. Six tiles hold sums: of
// one tile of rows x six of columns, which copies the rows of 96 columns once, or of two x three, which reads the
// weights half as often; another one holds rows, the last one weights.
#include <algorithm>
#include <utility>
#include <vector>

#include "common.h"
#include "tiles.h"

constexpr int SUMS = 6;                // tiles
constexpr Size CACHED_UNITS = 1 << 18;  // of weights: 1 MB

using Line [[gnu::vector_size(4 * TILE), gnu::aligned(4), gnu::may_alias]] = Unit;

struct Layer {
  const Unit *in;      // (num_in, steps, TILE): pairs of channels
  const Unit *weight;  // (offsets, steps, column_tiles, TILE, TILE): pairs of channels x columns
  const float *bias;   // (columns) or null
  uint16_t *out;       // (num_out, columns)
  Size steps, columns;
  Size column_tiles() const { return divide_up(columns, TILE); }
};

// Sums of `tall` x `wide` tiles: (tall * TILE, wide * TILE) floats. Tile r of the rows and n of the columns is in
// register n * tall + r.
template <class Tiles, int tall, int wide>
struct Sums {
  template <int... t>
  [[gnu::always_inline]] WITH_TILES static void zero(std::integer_sequence<int, t...>) {
    (Tiles::template zero<t>(), ...);
  }
  template <int... t>
  [[gnu::always_inline]] WITH_TILES static void store(float *to, std::integer_sequence<int, t...>) {
    (Tiles::template store<t>(to + (t % tall * TILE * wide + t / tall) * TILE, 4 * TILE * wide), ...);
  }
  // Adds TILE units of each row x their weights: left (tall * TILE, stride) units, right (wide, TILE, TILE)
  template <int... t>
  [[gnu::always_inline]] WITH_TILES static void add(const Unit *left, Size stride, const Unit *right,
                                                    std::integer_sequence<int, t...>) {
    (add_one<t>(left + t % tall * TILE * stride, stride, right + t / tall * TILE_UNITS), ...);
  }
  template <int t>
  [[gnu::always_inline]] WITH_TILES static void add_one(const Unit *left, Size stride, const Unit *right) {
    if constexpr (t % tall == 0) Tiles::template load<7>(right, 4 * TILE);
    if constexpr (t == 0 || tall > 1) Tiles::template load<6>(left, 4 * stride);
    Tiles::template multiply_add<t, 6, 7>();
  }
};

// Copies the input rows of one offset: to (rows, steps, TILE) units
static void gather(const Layer &layer, const int32_t *neighbors, int rows, Unit *to) {
  for (int r = 0; r < rows; r++) {
    const Unit keep = neighbors[r] < 0 ? 0 : ~0u;  // no branch: it could not be predicted
    const Unit *from = layer.in + std::max(neighbors[r], 0) * layer.steps * TILE;
    for (Size step = 0; step < layer.steps; step++, to += TILE, from += TILE) *(Line *)to = *(const Line *)from & keep;
  }
}

// sums of some rows and `wide` tiles of columns from `first` on. neighbors (offsets, rows): their input rows, -1 where
// there is none; used (offsets): whether there is any; copies: room for those of two offsets
template <class Tiles, int tall, int wide>
WITH_TILES static void convolve_rows(const Layer &layer, const int32_t *neighbors, const uint8_t *used, Size offsets,
                                     Size first, Unit *copies, float *sums) {
  constexpr std::make_integer_sequence<int, tall * wide> all{};
  const Size width = layer.column_tiles() * TILE_UNITS, row = layer.steps * TILE;
  Sums<Tiles, tall, wide>::zero(all);
  for (Size k = 0; k < offsets; k++) {
    if (!used[k]) continue;
    Unit *copy = copies + k % 2 * tall * TILE * row;  // two: a copy need not wait for the products of the last
    gather(layer, neighbors + k * tall * TILE, tall * TILE, copy);
    const Unit *right = layer.weight + k * layer.steps * width + first * TILE_UNITS;
    for (Size step = 0; step < layer.steps; step++)
      Sums<Tiles, tall, wide>::add(copy + step * TILE, row, right + step * width, all);
  }
  Sums<Tiles, tall, wide>::store(sums, all);
}

template <class Tiles, int tall, int wide>
static auto convolve_rows_of(Size tiles) {
  if constexpr (wide > 1)
    if (tiles < wide) return convolve_rows_of<Tiles, tall, wide - 1>(tiles);
  return convolve_rows<Tiles, tall, wide>;
}

static void write_rows(const Layer &layer, const float *sums, Size width, Size row, Size rows, Size column) {
  const Size columns = std::min(width, layer.columns - column);
  for (Size r = 0; r < rows; r++, sums += width) {
    uint16_t *to = layer.out + (row + r) * layer.columns + column;
    if (layer.bias)
      for (Size n = 0; n < columns; n++) to[n] = to_bf16(sums[n] + layer.bias[column + n]);
    else
      for (Size n = 0; n < columns; n++) to[n] = to_bf16(sums[n]);
  }
}

// The input rows of a block of output rows
struct Neighbors {
  Size height;                // rows of a group
  std::vector<int32_t> rows;  // (groups, offsets, height), -1 where there is none
  std::vector<uint8_t> used;  // (groups, offsets): whether there is any
  Neighbors(const Pairs &pairs, Size height)
      : height(height),
        rows(divide_up(pairs.block_rows, height) * pairs.offsets * height),
        used(divide_up(pairs.block_rows, height) * pairs.offsets) {}

  void find(const Pairs &pairs, Size block) {
    std::fill(rows.begin(), rows.end(), -1);
    std::fill(used.begin(), used.end(), 0);
    const Size *cuts = pairs.cuts + block * pairs.offsets;
    for (Size k = 0; k < pairs.offsets; k++)
      for (Size pair = cuts[k]; pair < cuts[k + pairs.offsets]; pair++) {
        const uint32_t row = pairs.out[pair] - block * pairs.block_rows, tall = height;
        const Size at = row / tall * pairs.offsets + k;
        rows[at * height + row % tall] = pairs.in[pair];
        used[at] = 1;
      }
  }
};

// One block of output rows and the tiles [first, last) of columns
template <class Tiles, int tall>
static void convolve_block(const Pairs &pairs, const Layer &layer, Size block, Size first, Size last,
                           Neighbors &neighbors, Unit *copies) {
  constexpr int wide = SUMS / tall;
  constexpr Size height = tall * TILE;
  alignas(64) float sums[SUMS * TILE_UNITS];
  const Size end = std::min(pairs.num_out, (block + 1) * pairs.block_rows);
  neighbors.find(pairs, block);
  for (Size row = block * pairs.block_rows, at = 0; row < end; row += height, at += pairs.offsets)
    for (Size tile = first; tile < last; tile += wide) {
      const Size count = std::min<Size>(wide, last - tile);
      convolve_rows_of<Tiles, tall, wide>(count)(layer, &neighbors.rows[at * height], &neighbors.used[at],
                                                 pairs.offsets, tile, copies, sums);
      write_rows(layer, sums, count * TILE, row, std::min(height, end - row), tile * TILE);
    }
}

// A task has as many columns as the cache holds weights for.
template <class Tiles, int tall>
static void convolve_tall(const Pairs &pairs, const Layer &layer, int threads) {
  constexpr Size wide = SUMS / tall;
  const Size tiles = layer.column_tiles(), blocks = divide_up(pairs.num_out, pairs.block_rows);
  const Size fitting = CACHED_UNITS / (pairs.offsets * layer.steps * TILE_UNITS) / wide * wide;
  const Size width = std::max<Size>(wide, fitting);
#pragma omp parallel num_threads(threads)
  {
    Neighbors neighbors(pairs, tall * TILE);
    std::vector<CacheLine> copies(2 * tall * TILE * layer.steps);
    Tiles::begin();
#pragma omp for schedule(dynamic) nowait
    for (Size task = 0; task < blocks * divide_up(tiles, width); task++) {
      const Size first = task / blocks * width, last = std::min(tiles, first + width);
      convolve_block<Tiles, tall>(pairs, layer, task % blocks, first, last, neighbors, copies.data()->units);
    }
    Tiles::end();
  }
}

template <class Tiles>
static void convolve(const Pairs &pairs, const Layer &layer, int threads) {
  const Size tiles = layer.column_tiles();
  const bool flat = (tiles == SUMS || tiles == SUMS - 1) && pairs.offsets * layer.steps * tiles * TILE_UNITS <= CACHED_UNITS;
  (flat ? convolve_tall<Tiles, 1> : convolve_tall<Tiles, 2>)(pairs, layer, threads);
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
  (emulate ? convolve<PlainTiles> : convolve<AmxTiles>)(*pairs, layer, threads);
}
}
