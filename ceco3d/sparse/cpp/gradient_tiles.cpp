// The weight gradient of a sparse convolution of bfloat16 in tile registers (tiles.h).
//
// For each offset: pairs are copied side by side, the input's transposed, and multiplied as one matrix product.
#include <algorithm>
#include <vector>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include "common.h"
#include "tiles.h"

constexpr Size STEP = 2 * TILE;   // pairs that one instruction multiplies
constexpr Size CHUNK = 8 * STEP;  // pairs that are copied at a time
constexpr Size SLAB = 128;        // input channels of a task
constexpr Size FAR = CHUNK / STEP * TILE_UNITS;  // between tiles of the next channels

struct Rows {  // of one side of the pairs, bfloat16
  const uint16_t *values;
  const int32_t *rows;
  Size channels;
};

// Channels [at, at + TILE) of two rows -> to (TILE) units
[[gnu::always_inline]] static inline void interleave(const uint16_t *even, const uint16_t *odd, Unit *to) {
#ifdef __AVX512F__
  const __m512i low = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)even));
  const __m512i high = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)odd));
  _mm512_storeu_si512(to, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
#else
  for (Size n = 0; n < TILE; n++) to[n] = even[n] | (Unit)odd[n] << 16;
#endif
}

// The rows of two consecutive pairs, tile by tile; channels beyond the last one and rows beyond the last pair are zero
struct TwoRows {
  const uint16_t *even, *odd;
  uint16_t tails[2][TILE];  // the channels of the last tile if they do not fill it
  Size channels;

  TwoRows(const Rows &side, Size pair, Size count) : channels(side.channels) {
    even = pair < count ? side.values + side.rows[pair] * channels : nullptr;
    odd = pair + 1 < count ? side.values + side.rows[pair + 1] * channels : nullptr;
    if (channels % TILE) {
      const Size at = channels / TILE * TILE;
      std::memset(tails, 0, sizeof tails);
      if (even) std::memcpy(tails[0], even + at, 2 * (channels - at));
      if (odd) std::memcpy(tails[1], odd + at, 2 * (channels - at));
    }
  }
  [[gnu::always_inline]] void tile(Size at, Unit *to) const {
    static const uint16_t none[TILE] = {};
    if (at + TILE <= channels)
      interleave(even ? even + at : none, odd ? odd + at : none, to);
    else
      interleave(at < channels ? tails[0] : none, at < channels ? tails[1] : none, to);
  }
};

static void transpose(const Unit *from, Unit *to) {  // (TILE, TILE)
#ifdef __AVX512F__
  __m512i a[TILE], b[TILE];
  for (int i = 0; i < TILE; i++) a[i] = _mm512_loadu_si512(from + i * TILE);
  for (int i = 0; i < TILE; i += 2)
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]), b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  for (int i = 0; i < TILE; i += 4)
    for (int j = 0; j < 2; j++)
      a[i + 2 * j] = _mm512_unpacklo_epi64(b[i + j], b[i + j + 2]),
                a[i + 2 * j + 1] = _mm512_unpackhi_epi64(b[i + j], b[i + j + 2]);
  for (int i = 0; i < 4; i++) {  // a[4 * g + i]: rows 4 * g to 4 * g + 3, columns i, 4 + i, 8 + i, 12 + i
    const __m512i low = _mm512_shuffle_i32x4(a[i], a[4 + i], 0x44), high = _mm512_shuffle_i32x4(a[i], a[4 + i], 0xee);
    const __m512i low2 = _mm512_shuffle_i32x4(a[8 + i], a[12 + i], 0x44);
    const __m512i high2 = _mm512_shuffle_i32x4(a[8 + i], a[12 + i], 0xee);
    _mm512_storeu_si512(to + i * TILE, _mm512_shuffle_i32x4(low, low2, 0x88));
    _mm512_storeu_si512(to + (4 + i) * TILE, _mm512_shuffle_i32x4(low, low2, 0xdd));
    _mm512_storeu_si512(to + (8 + i) * TILE, _mm512_shuffle_i32x4(high, high2, 0x88));
    _mm512_storeu_si512(to + (12 + i) * TILE, _mm512_shuffle_i32x4(high, high2, 0xdd));
  }
#else
  for (int i = 0; i < TILE; i++)
    for (int j = 0; j < TILE; j++) to[j * TILE + i] = from[i * TILE + j];
#endif
}

// sums of M x N tiles += left (M, CHUNK / STEP) tiles x right (N, CHUNK / STEP) tiles, `steps` of each
template <class Tiles, int M, int N>
WITH_TILES static void add_product(const Unit *left, const Unit *right, Size steps, float *sums, Size width) {
  constexpr Size row = 4 * TILE;
  Tiles::template load<0>(sums, row);
  if constexpr (N > 1) Tiles::template load<1>(sums + TILE_UNITS, row);
  if constexpr (M > 1) Tiles::template load<2>(sums + width, row);
  if constexpr (M > 1 && N > 1) Tiles::template load<3>(sums + width + TILE_UNITS, row);
  for (Size step = 0; step < steps; step++, left += TILE_UNITS, right += TILE_UNITS) {
    Tiles::template load<4>(left, row);
    Tiles::template load<6>(right, row);
    Tiles::template multiply_add<0, 4, 6>();
    if constexpr (N > 1) {
      Tiles::template load<7>(right + FAR, row);
      Tiles::template multiply_add<1, 4, 7>();
    }
    if constexpr (M > 1) {
      Tiles::template load<5>(left + FAR, row);
      Tiles::template multiply_add<2, 5, 6>();
    }
    if constexpr (M > 1 && N > 1) Tiles::template multiply_add<3, 5, 7>();
  }
  Tiles::template store<0>(sums, row);
  if constexpr (N > 1) Tiles::template store<1>(sums + TILE_UNITS, row);
  if constexpr (M > 1) Tiles::template store<2>(sums + width, row);
  if constexpr (M > 1 && N > 1) Tiles::template store<3>(sums + width + TILE_UNITS, row);
}

namespace {  // another source has a struct of this name
struct Scratch {  // of a thread
  std::vector<CacheLine> lines;
  Unit *left, *right;  // (SLAB / TILE, CHUNK / STEP) and (columns, CHUNK / STEP) tiles
  float *sums;         // (SLAB / TILE, columns) tiles
  explicit Scratch(Size columns) : lines((SLAB / TILE * FAR + columns * FAR + SLAB / TILE * columns * TILE_UNITS) / TILE) {
    left = lines.data()->units, right = left + SLAB / TILE * FAR, sums = (float *)(right + columns * FAR);
  }
};
}

// scratch.sums = the products of `pairs` pairs: `rows` tiles of input channels from `first` on x `columns` tiles
template <class Tiles>
static void multiply_pairs(const Rows &in, const Rows &grad, Size pairs, Size first, Size rows, Size columns,
                           Scratch &scratch) {
  const Size width = columns * TILE_UNITS;
  alignas(64) Unit squares[SLAB / TILE * TILE_UNITS];
  std::fill_n(scratch.sums, rows * width, 0.0f);
  for (Size begin = 0; begin < pairs; begin += CHUNK) {
    const Size end = std::min(pairs, begin + CHUNK), steps = divide_up(end - begin, STEP);
    for (Size step = 0; step < steps; step++) {
      const Size pair = begin + step * STEP;
      for (Size i = 0; i < TILE; i++) {
        const TwoRows left(in, pair + 2 * i, end), right(grad, pair + 2 * i, end);
        for (Size m = 0; m < rows; m++) left.tile(first + m * TILE, squares + m * TILE_UNITS + i * TILE);
        for (Size n = 0; n < columns; n++) right.tile(n * TILE, &scratch.right[n * FAR + step * TILE_UNITS + i * TILE]);
      }
      for (Size m = 0; m < rows; m++)
        transpose(squares + m * TILE_UNITS, &scratch.left[m * FAR + step * TILE_UNITS]);
    }
    for (Size m = 0; m < rows; m += 2)
      for (Size n = 0; n < columns; n += 2) {
        const bool two_rows = m + 1 < rows, two_columns = n + 1 < columns;
        (two_rows ? two_columns ? add_product<Tiles, 2, 2> : add_product<Tiles, 2, 1>
                  : two_columns ? add_product<Tiles, 1, 2> : add_product<Tiles, 1, 1>)(
            &scratch.left[m * FAR], &scratch.right[n * FAR], steps, &scratch.sums[m * width + n * TILE_UNITS], width);
      }
  }
}

static void add_sums(const float *sums, Size rows, Size columns, float *out) {  // out (rows, columns)
  const Size width = divide_up(columns, TILE) * TILE_UNITS;
  for (Size m = 0; m < rows; m++)
    for (Size n = 0; n < columns; n++)
      out[m * columns + n] += sums[m / TILE * width + n / TILE * TILE_UNITS + m % TILE * TILE + n % TILE];
}

template <class Tiles>
static void weight_gradient(const Pairs &pairs, const uint16_t *in, const uint16_t *grad, float *out, Size in_channels,
                            Size out_channels, int threads) {
  const Size slabs = divide_up(in_channels, SLAB), columns = divide_up(out_channels, TILE);
  const Size blocks = divide_up(pairs.num_out, pairs.block_rows), sums = pairs.offsets * slabs;
  std::fill_n(out, pairs.offsets * in_channels * out_channels, 0.0f);
  Turns turns(sums);
#pragma omp parallel num_threads(threads)
  {
    Scratch scratch(columns);
    Tiles::begin();
#pragma omp for schedule(monotonic : dynamic) nowait
    for (Size task = 0; task < blocks * sums; task++) {  // block by block: most offsets read the rows from the cache
      const Size block = task / sums, sum = task % sums, k = sum / slabs, first = sum % slabs * SLAB;
      const Size *cut = pairs.cuts + block * pairs.offsets + k;
      const Size rows = std::min(SLAB, in_channels - first), count = cut[pairs.offsets] - cut[0];
      if (count > 0)
        multiply_pairs<Tiles>({in, pairs.in + cut[0], in_channels}, {grad, pairs.out + cut[0], out_channels}, count,
                              first, divide_up(rows, TILE), columns, scratch);
      turns.wait(sum, block);
      if (count > 0) add_sums(scratch.sums, rows, out_channels, out + (k * in_channels + first) * out_channels);
      turns.pass(sum, block);
    }
    Tiles::end();
  }
}

extern "C" {

// As ceco3d_weight_gradient, of bfloat16
void ceco3d_tiles_weight_gradient(bool emulate, int threads, const Pairs *pairs, const void *in, const void *grad,
                                  float *out, Size in_channels, Size out_channels) {
  (emulate ? weight_gradient<PlainTiles> : weight_gradient<AmxTiles>)(
      *pairs, (const uint16_t *)in, (const uint16_t *)grad, out, in_channels, out_channels, threads);
}
}
