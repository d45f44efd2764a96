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

constexpr int SUMS = 6;                 // tiles
constexpr Size GROUP = 2 * TILE;        // rows
constexpr Size CACHED_UNITS = 1 << 18;  // of weights: 1 MB

using Line [[gnu::vector_size(4 * TILE), gnu::aligned(4), gnu::may_alias]] = Unit;

struct Neighbors {       // the input rows of groups of output rows
  const int32_t *rows;   // (groups, offsets, GROUP), -1 where there is none
  const uint8_t *used;   // (groups, offsets): bit t is set if there is any in tile t
};

struct Layer {
  const Unit *in;      // (num_in, steps, TILE): pairs of channels
  const Unit *weight;  // (offsets, steps, column_tiles, TILE, TILE): pairs of channels x columns
  const Epilogue &epilogue;
  uint16_t *out;       // (num_out, columns)
  Size offsets, steps, columns;
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

// sums of `tall` tiles of rows and `wide` of columns from `first` on. neighbors, used: of a group, see Neighbors, from the
// first of these rows on; copies: room for the rows of two offsets
template <class Tiles, int tall, int wide>
WITH_TILES static void convolve_rows(const Layer &layer, const int32_t *neighbors, const uint8_t *used, uint8_t tiles,
                                     Size first, Unit *copies, float *sums) {
  constexpr std::make_integer_sequence<int, tall * wide> all{};
  const Size width = layer.column_tiles() * TILE_UNITS, row = layer.steps * TILE;
  Sums<Tiles, tall, wide>::zero(all);
  for (Size k = 0; k < layer.offsets; k++) {
    if (!(used[k] & tiles)) continue;
    Unit *copy = copies + k % 2 * tall * TILE * row;  // two: a copy need not wait for the products of the last
    gather(layer, neighbors + k * GROUP, tall * TILE, copy);
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

static void write_rows(const Layer &layer, float *sums, Size width, Size row, Size rows, Size column) {
  const Size columns = std::min(width, layer.columns - column);
  const Epilogue &epilogue = layer.epilogue;
  for (Size r = 0; r < rows; r++, sums += width) {
    const Size at = (row + r) * layer.columns + column;
    if (const float *bias = epilogue.bias)
      for (Size n = 0; n < columns; n++) sums[n] += bias[column + n];
    if (const auto *residual = (const uint16_t *)epilogue.residual)
      for (Size n = 0; n < columns; n++) sums[n] += from_bf16(residual[at + n]);
    if (epilogue.relu)
      for (Size n = 0; n < columns; n++) sums[n] = sums[n] < 0 ? 0 : sums[n];  // NaN stays NaN
    for (Size n = 0; n < columns; n++) layer.out[at + n] = to_bf16(sums[n]);
  }
}

// A block of output rows and the tiles [first, last) of columns
template <class Tiles, int tall>
static void convolve_block(const Neighbors &neighbors, const Layer &layer, Size begin, Size end, Size first, Size last,
                           Unit *copies) {
  constexpr int wide = SUMS / tall;
  constexpr Size height = tall * TILE;
  alignas(64) float sums[SUMS * TILE_UNITS];
  for (Size row = begin; row < end; row += height) {
    const Size at = row / GROUP * layer.offsets;
    const uint8_t tiles = tall == 1 ? 1 << row % GROUP / TILE : 3;
    for (Size tile = first; tile < last; tile += wide) {
      const Size count = std::min<Size>(wide, last - tile);
      convolve_rows_of<Tiles, tall, wide>(count)(layer, neighbors.rows + at * GROUP + row % GROUP, neighbors.used + at,
                                                 tiles, tile, copies, sums);
      write_rows(layer, sums, count * TILE, row, std::min(height, end - row), tile * TILE);
    }
  }
}

// A task has as many columns as the cache holds weights for.
template <class Tiles, int tall>
static void convolve_tall(const Neighbors &neighbors, const Layer &layer, Size num_out, Size block_rows, int threads) {
  constexpr Size wide = SUMS / tall;
  const Size tiles = layer.column_tiles(), blocks = divide_up(num_out, block_rows);
  const Size fitting = CACHED_UNITS / (layer.offsets * layer.steps * TILE_UNITS) / wide * wide;
  const Size width = std::max<Size>(wide, fitting);
#pragma omp parallel num_threads(threads)
  {
    std::vector<CacheLine> copies(2 * tall * TILE * layer.steps);
    Tiles::begin();
#pragma omp for schedule(dynamic) nowait
    for (Size task = 0; task < blocks * divide_up(tiles, width); task++) {
      const Size first = task / blocks * width, begin = task % blocks * block_rows;
      convolve_block<Tiles, tall>(neighbors, layer, begin, std::min(num_out, begin + block_rows), first,
                                  std::min(tiles, first + width), copies.data()->units);
    }
    Tiles::end();
  }
}

template <class Tiles>
static void convolve(const Neighbors &neighbors, const Layer &layer, Size num_out, Size block_rows, int threads) {
  const Size tiles = layer.column_tiles();
  const bool fits = layer.offsets * layer.steps * tiles * TILE_UNITS <= CACHED_UNITS;
  const bool flat = fits && (tiles == SUMS || tiles == SUMS - 1);
  (flat ? convolve_tall<Tiles, 1> : convolve_tall<Tiles, 2>)(neighbors, layer, num_out, block_rows, threads);
}

static void find_neighbors(const Pairs &pairs, int32_t *rows, uint8_t *used, int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic)
  for (Size block = 0; block < divide_up(pairs.num_out, pairs.block_rows); block++) {
    const Size first = block * pairs.block_rows / GROUP, rest = divide_up(pairs.num_out, GROUP) - first;
    const Size places = std::min(pairs.block_rows / GROUP, rest) * pairs.offsets;
    std::fill_n(rows + first * pairs.offsets * GROUP, places * GROUP, -1);
    std::fill_n(used + first * pairs.offsets, places, 0);
    const Size *cuts = pairs.cuts + block * pairs.offsets;
    for (Size k = 0; k < pairs.offsets; k++)
      for (Size pair = cuts[k]; pair < cuts[k + pairs.offsets]; pair++) {
        const Size row = pairs.out[pair], at = row / GROUP * pairs.offsets + k;
        rows[at * GROUP + row % GROUP] = pairs.in[pair];
        used[at] |= 1 << row % GROUP / TILE;
      }
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

extern "C" {

bool ceco3d_has_tiles() { return has_tiles; }

// weight (offsets, channels, columns) float, or its transpose per offset -> (offsets, steps, column_tiles, 16, 16) units
void ceco3d_tiles_pack_weight(int threads, const float *weight, void *packed, Size offsets, Size channels, Size columns,
                              bool transpose) {
  pack_weight(weight, (Unit *)packed, offsets, channels, columns, transpose, threads);
}

// rows (groups of 32, offsets, 32) and used (groups, offsets): see Neighbors; a multiple of 32 rows per block
void ceco3d_tiles_neighbors(int threads, const Pairs *pairs, int32_t *rows, uint8_t *used) {
  find_neighbors(*pairs, rows, used, threads);
}

// As ceco3d_convolve; in (num_in, 32 * steps) and out bfloat16; a multiple of 32 rows per block
void ceco3d_tiles_convolve(bool emulate, int threads, const int32_t *rows, const uint8_t *used, const void *in,
                           const void *weight, const Epilogue *epilogue, void *out, Size num_out, Size block_rows,
                           Size offsets, Size steps, Size columns) {
  const Layer layer{(const Unit *)in, (const Unit *)weight, *epilogue, (uint16_t *)out, offsets, steps, columns};
  (emulate ? convolve<PlainTiles> : convolve<AmxTiles>)({rows, used}, layer, num_out, block_rows, threads);
}
}
