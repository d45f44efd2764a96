// Sparse convolution on the CPU as implicit GEMM: tiles of a matrix product that read and add rows in place.
//
// Lengths are in units of 32 bits: one float, or two adjacent bfloat16 that the CPU multiplies and sums into one float
// (AVX512-BF16). A tile keeps ROWS x PANEL float sums in registers. Each task owns its part of the result, so sums do
// not depend on the number of threads.
#include <algorithm>
#include <vector>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include "common.h"

// ROWS x 2 vectors of sums, two vectors of the right factor and one value of the left factor fit the registers.
#if defined(__AVX512F__)
constexpr int LANES = 16, ROWS = 8;
#elif defined(__AVX2__)
constexpr int LANES = 8, ROWS = 6;
#elif defined(__ARM_NEON)
constexpr int LANES = 4, ROWS = 8;
#else
constexpr int LANES = 4, ROWS = 4;
#endif
constexpr int PANEL = 2 * LANES;
constexpr int SLAB = 16 * ROWS;  // input channels of a task of the weight gradient
constexpr int CHUNK = 128;      // units of pairs that a task sums in registers
constexpr int GAP = LANES;      // units between packed groups of channels, which would else share sets of the cache

using Vector [[gnu::vector_size(4 * LANES), gnu::aligned(4), gnu::may_alias]] = float;

template <bool bf16>
[[gnu::always_inline]] inline Vector multiply_add(Vector sum, const Unit *left, Vector right) {
  float value;
  std::memcpy(&value, left, 4);
#ifdef __AVX512BF16__
  if constexpr (bf16) return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_ps(value), (__m512bh)right);
#endif
  return sum + value * right;
}

// sums[r] (PANEL) += sum_i left(r, i) * right[i] (PANEL); `left` returns the address of a unit
template <bool bf16, class Left>
[[gnu::always_inline]] inline void add_tile(float *const *sums, Left left, const Unit *right, Size depth) {
  Vector low[ROWS], high[ROWS];
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; r++) low[r] = *(Vector *)sums[r], high[r] = *(Vector *)(sums[r] + LANES);
  for (Size i = 0; i < depth; i++, right += PANEL) {
    const Vector right_low = *(const Vector *)right, right_high = *(const Vector *)(right + LANES);
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++) {
      low[r] = multiply_add<bf16>(low[r], left(r, i), right_low);
      high[r] = multiply_add<bf16>(high[r], left(r, i), right_high);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; r++) *(Vector *)sums[r] = low[r], *(Vector *)(sums[r] + LANES) = high[r];
}

// One block of output rows and one panel of columns. sums (block_rows + 1, PANEL); padding goes to the last row.
template <bool bf16>
static void convolve_block(const Pairs &pairs, const Unit *in, const Unit *weight, Size depth, Size panels, Size block,
                           Size panel, float *sums) {
  for (Size k = 0; k < pairs.offsets; k++) {
    const Unit *right = weight + (k * panels + panel) * depth * PANEL;
    const Size end = pairs.cuts[(block + 1) * pairs.offsets + k];
    for (Size pair = pairs.cuts[block * pairs.offsets + k]; pair < end; pair += ROWS) {
      const Unit *rows[ROWS];
      float *into[ROWS];
      for (int r = 0; r < ROWS; r++) {
        const bool real = pair + r < end;
        rows[r] = in + pairs.in[real ? pair + r : pair] * depth;
        into[r] = sums + (real ? pairs.out[pair + r] - block * pairs.block_rows : pairs.block_rows) * PANEL;
      }
      add_tile<bf16>(into, [&](int r, Size i) { return rows[r] + i; }, right, depth);
    }
  }
}

// Columns of one output row, which start at value `at` of the output; the bias is in the sums.
template <bool bf16>
static void write_row(float *sums, Size columns, const Epilogue &epilogue, void *out, Size at) {
  if (const void *residual = epilogue.residual)
    for (Size n = 0; n < columns; n++)
      sums[n] += bf16 ? from_bf16(((const uint16_t *)residual)[at + n]) : ((const float *)residual)[at + n];
  if (epilogue.relu)
    for (Size n = 0; n < columns; n++) sums[n] = sums[n] < 0 ? 0 : sums[n];  // NaN stays NaN
  if constexpr (bf16)
    for (Size n = 0; n < columns; n++) ((uint16_t *)out)[at + n] = to_bf16(sums[n]);
  else
    std::memcpy((float *)out + at, sums, columns * 4);
}

template <bool bf16>
static void convolve(const Pairs &pairs, const Unit *in, const Unit *weight, const Epilogue &epilogue, void *out,
                     Size depth, Size columns, int threads) {
  const Size panels = divide_up(columns, PANEL), blocks = divide_up(pairs.num_out, pairs.block_rows);
#pragma omp parallel num_threads(threads)
  {
    std::vector<CacheLine> lines(divide_up((pairs.block_rows + 1) * PANEL, 16));
    float *sums = (float *)lines.data();
#pragma omp for schedule(dynamic)
    for (Size task = 0; task < blocks * panels; task++) {
      const Size block = task / panels, panel = task % panels, first = block * pairs.block_rows;
      const Size rows = std::min(pairs.block_rows, pairs.num_out - first);
      const Size valid = std::min<Size>(PANEL, columns - panel * PANEL);
      std::fill_n(sums, rows * PANEL, 0.0f);
      for (Size row = 0; epilogue.bias && row < rows; row++)
        std::copy_n(epilogue.bias + panel * PANEL, valid, sums + row * PANEL);
      convolve_block<bf16>(pairs, in, weight, depth, panels, block, panel, sums);
      for (Size row = 0; row < rows; row++)
        write_row<bf16>(sums + row * PANEL, valid, epilogue, out, (first + row) * columns + panel * PANEL);
    }
  }
}

// Row `row` of panel `panel` of a weight, as floats or as one half of the units of a pair of rows
template <bool bf16>
static void pack_row(const float *from, Size step, Size valid, Unit *panel, Size row) {
  for (Size n = 0; n < valid; n++)
    if constexpr (bf16)
      ((uint16_t *)panel)[(row / 2 * PANEL + n) * 2 + row % 2] = to_bf16(from[n * step]);
    else
      ((float *)panel)[row * PANEL + n] = from[n * step];
}

template <bool bf16>
static void pack_weight(const float *weight, Unit *packed, Size offsets, Size rows, Size columns, bool transpose,
                        int threads) {
  const Size panels = divide_up(columns, PANEL), depth = divide_up(rows, bf16 ? 2 : 1);
  const Size row_step = transpose ? 1 : columns, column_step = transpose ? rows : 1;
#pragma omp parallel for num_threads(threads)
  for (Size task = 0; task < offsets * panels; task++) {
    const Size k = task / panels, column = task % panels * PANEL;
    Unit *panel = packed + task * depth * PANEL;
    std::fill_n(panel, depth * PANEL, 0);
    for (Size row = 0; row < rows; row++) {
      const float *from = weight + k * rows * columns + row * row_step + column * column_step;
      pack_row<bf16>(from, column_step, std::min<Size>(PANEL, columns - column), panel, row);
    }
  }
}

// Channels [first, first + count) of the rows of some pairs, zero-padded -> (count / width, CHUNK, width) units with a
// GAP after each (CHUNK, width). In bfloat16 a unit holds one channel of two consecutive pairs.
template <bool bf16, int width>
static void pack_pairs(const void *values, Size channels, const int32_t *rows, Size pairs, Size first, Size count,
                       Unit *packed) {
  const auto copy = [&](Size i, Size at, Unit *to, Size valid) {
    if constexpr (bf16) {
      const bool alone = 2 * i + 1 == pairs;
      const uint16_t *even = (const uint16_t *)values + rows[2 * i] * channels + at;
      const uint16_t *odd = alone ? even : (const uint16_t *)values + rows[2 * i + 1] * channels + at;
      const Unit keep = alone ? 0 : 0xffff0000;
      for (Size n = 0; n < valid; n++) to[n] = even[n] | ((Unit)odd[n] << 16 & keep);
    } else {
      std::memcpy(to, (const Unit *)values + rows[i] * channels + at, valid * 4);
    }
  };
  for (Size i = 0; i < divide_up(pairs, bf16 ? 2 : 1); i++)
    for (Size group = 0; group < count; group += width) {
      Unit *to = packed + group / width * (CHUNK * width + GAP) + i * width;
      const Size at = first + group;
      if (at + width <= channels) {
        copy(i, at, to, width);  // a constant width, which compiles to vector moves
      } else {
        std::fill_n(to, width, 0);
        copy(i, at, to, channels - at);
      }
    }
}

namespace {  // another source has a struct of this name
struct Scratch {  // buffers of a thread for the weight gradient
  std::vector<CacheLine> lines;
  Unit *left, *right;
  float *sums;
  explicit Scratch(Size width) {
    const Size lefts = SLAB / ROWS * (CHUNK * ROWS + GAP), rights = width / PANEL * (CHUNK * PANEL + GAP);
    lines.resize(divide_up(lefts + rights + SLAB * width, 16) + 1);
    left = lines.data()->units, right = left + divide_up(lefts, 16) * 16, sums = (float *)(right + rights);
  }
};
}

// Adds the pairs [begin, end) of one offset to rows [first, first + rows) of its gradient. out (rows, out_channels)
template <bool bf16>
static void add_gradient(const Pairs &pairs, Size begin, Size end, const void *in, const void *grad, float *out,
                         Size first, Size rows, Size in_channels, Size out_channels, Scratch &scratch) {
  const Size tiles = divide_up(rows, ROWS), panels = divide_up(out_channels, PANEL), width = panels * PANEL;
  const Size step = bf16 ? 2 * CHUNK : CHUNK;
  float *sums = scratch.sums;
  for (Size row = 0; row < rows; row++) std::copy_n(out + row * out_channels, out_channels, sums + row * width);
  for (Size pair = begin; pair < end; pair += step) {
    const Size count = std::min(step, end - pair), depth = divide_up(count, bf16 ? 2 : 1);
    pack_pairs<bf16, ROWS>(in, in_channels, pairs.in + pair, count, first, tiles * ROWS, scratch.left);
    pack_pairs<bf16, PANEL>(grad, out_channels, pairs.out + pair, count, 0, width, scratch.right);
    for (Size panel = 0; panel < panels; panel++)  // the larger one stays in the cache
      for (Size tile = 0; tile < tiles; tile++) {
        const Unit *left = scratch.left + tile * (CHUNK * ROWS + GAP);
        const Unit *right = scratch.right + panel * (CHUNK * PANEL + GAP);
        float *into[ROWS];
        for (int r = 0; r < ROWS; r++) into[r] = sums + (tile * ROWS + r) * width + panel * PANEL;
        add_tile<bf16>(into, [=](int r, Size i) { return left + i * ROWS + r; }, right, depth);
      }
  }
  for (Size row = 0; row < rows; row++) std::copy_n(sums + row * width, out_channels, out + row * out_channels);
}

// Works block by block: all offsets but the first read the rows of a block from the cache.
template <bool bf16>
static void weight_gradient(const Pairs &pairs, const void *in, const void *grad, float *out, Size in_channels,
                            Size out_channels, int threads) {
  const Size slabs = divide_up(in_channels, SLAB), width = divide_up(out_channels, PANEL) * PANEL;
  const Size blocks = divide_up(pairs.num_out, pairs.block_rows);
  const Size sums = pairs.offsets * slabs;
  std::fill_n(out, pairs.offsets * in_channels * out_channels, 0.0f);
  Turns turns(sums);
#pragma omp parallel num_threads(threads)
  {
    Scratch scratch(width);
#pragma omp for schedule(monotonic : dynamic) nowait
    for (Size task = 0; task < blocks * sums; task++) {
      const Size block = task / sums, sum = task % sums, k = sum / slabs, first = sum % slabs * SLAB;
      const Size *cut = pairs.cuts + block * pairs.offsets + k;
      turns.wait(sum, block);
      add_gradient<bf16>(pairs, cut[0], cut[pairs.offsets], in, grad, out + (k * in_channels + first) * out_channels,
                         first, std::min<Size>(SLAB, in_channels - first), in_channels, out_channels, scratch);
      turns.pass(sum, block);
    }
  }
}

extern "C" {

Size ceco3d_panel() { return PANEL; }

bool ceco3d_has_bf16() {
#ifdef __AVX512BF16__
  return true;
#else
  return false;
#endif
}

// weight (offsets, rows, columns) float, or its transpose per offset -> (offsets, panels, depth, PANEL) units
void ceco3d_pack_weight(bool bf16, int threads, const float *weight, void *packed, Size offsets, Size rows,
                        Size columns, bool transpose) {
  (bf16 ? pack_weight<true> : pack_weight<false>)(weight, (Unit *)packed, offsets, rows, columns, transpose, threads);
}

// out[u] = the epilogue of the sum over k and the pairs (v, u) of offset k of in[v] x weight[k]. in (num_in, depth)
// units; weight packed; out (num_out, columns) float or bfloat16
void ceco3d_convolve(bool bf16, int threads, const Pairs *pairs, const void *in, const void *weight,
                     const Epilogue *epilogue, void *out, Size depth, Size columns) {
  (bf16 ? convolve<true> : convolve<false>)(*pairs, (const Unit *)in, (const Unit *)weight, *epilogue, out, depth,
                                            columns, threads);
}

// out[k] = the sum over the pairs (v, u) of offset k of in[v]^T x grad[u]. in (num_in, in_channels)
// and grad (num_out, out_channels) float or bfloat16; out (offsets, in_channels, out_channels) float
void ceco3d_weight_gradient(bool bf16, int threads, const Pairs *pairs, const void *in, const void *grad, float *out,
                            Size in_channels, Size out_channels) {
  (bf16 ? weight_gradient<true> : weight_gradient<false>)(*pairs, in, grad, out, in_channels, out_channels, threads);
}
}
