// Batch normalization of rows (N, C), float32 or bfloat16, with the residual and the ReLU that follow it.
//
// Sums over rows are float32 within a chunk of rows, and double over the chunks in their order: the results do not
// depend on the number of threads.
#include <algorithm>
#include <cmath>
#include <vector>

#include "common.h"

constexpr Size CHUNK = 256;       // rows
constexpr Size PIVOT_ROWS = 16;  // first rows of a chunk, whose mean is subtracted from all: small sums round less

struct Norm {
  const double *statistics;    // (2, C) mean and variance
  const float *weight, *bias;  // (C,)
  Size rows, channels;
  double eps;
  bool relu, training;
};

// y = (x - center) * scale + shift. A mean is not always a float: `rest` is what the center lacks.
struct Channels {
  std::vector<float> center, scale, shift;
  std::vector<double> deviation, rest;

  explicit Channels(const Norm &norm)
      : center(norm.channels), scale(norm.channels), shift(norm.channels), deviation(norm.channels),
        rest(norm.channels) {
    for (Size c = 0; c < norm.channels; c++) {
      const double mean = norm.statistics[c];
      center[c] = mean;
      rest[c] = mean - center[c];
      deviation[c] = std::sqrt(norm.statistics[norm.channels + c] + norm.eps);
      scale[c] = norm.weight[c] / deviation[c];
      shift[c] = norm.bias[c] - rest[c] * scale[c];
    }
  }
};

enum Mask { NONE, FROM_INPUT, FROM_OUTPUT };  // where the gradient learns which outputs ReLU set to zero

static inline float load(float value) { return value; }
static inline float load(uint16_t value) {
  const uint32_t bits = (uint32_t)value << 16;
  float wide;
  std::memcpy(&wide, &bits, 4);
  return wide;
}
static inline void store(float value, float *to) { *to = value; }
static inline void store(float value, uint16_t *to) { *to = to_bf16(value); }

// f(chunk, first row, rows of the chunk) in parallel
template <class Function>
static void for_each_chunk(Size rows, int threads, const Function &f) {
#pragma omp parallel for schedule(static) num_threads(threads)
  for (Size chunk = 0; chunk < divide_up(rows, CHUNK); chunk++)
    f(chunk, chunk * CHUNK, std::min(CHUNK, rows - chunk * CHUNK));
}

// Sums of x - pivot and its square over `rows` rows; parts (3, channels): pivot and both sums
template <class T>
static void sum_chunk(const T *__restrict x, Size rows, Size channels, float *__restrict parts) {
  float *__restrict pivot = parts, *__restrict sum = parts + channels, *__restrict square = parts + 2 * channels;
  std::fill_n(sum, 2 * channels, 0.0f);
  const Size first = std::min(rows, PIVOT_ROWS);
  for (Size row = 1; row < first; row++)
    for (Size c = 0; c < channels; c++) sum[c] += load(x[row * channels + c]) - load(x[c]);
  for (Size c = 0; c < channels; c++) {
    pivot[c] = load(x[c]) + sum[c] / first;
    sum[c] = 0;
  }
  for (Size row = 0; row < rows; row++, x += channels)
    for (Size c = 0; c < channels; c++) {
      const float d = load(x[c]) - pivot[c];
      sum[c] += d;
      square[c] += d * d;
    }
}

template <class T>
static void statistics(const T *x, Size rows, Size channels, double *mean, double *variance, int threads) {
  std::vector<float> parts(divide_up(rows, CHUNK) * 3 * channels);
  for_each_chunk(rows, threads, [&](Size chunk, Size first, Size count) {
    sum_chunk(x + first * channels, count, channels, &parts[chunk * 3 * channels]);
  });
  std::fill_n(mean, channels, 0.0);
  std::fill_n(variance, channels, 0.0);
  for (Size first = 0; first < rows; first += CHUNK) {
    const float *pivot = &parts[first / CHUNK * 3 * channels], *sum = pivot + channels;
    const Size count = std::min(CHUNK, rows - first);
    for (Size c = 0; c < channels; c++) mean[c] += ((double)pivot[c] * count + sum[c]) / rows;
  }
  for (Size first = 0; first < rows; first += CHUNK) {
    const float *pivot = &parts[first / CHUNK * 3 * channels], *sum = pivot + channels, *square = sum + channels;
    const Size count = std::min(CHUNK, rows - first);
    for (Size c = 0; c < channels; c++) {
      const double own = (double)sum[c] / count, away = pivot[c] + own - mean[c];
      const double within = square[c] - own * sum[c];
      variance[c] += ((within < 0 ? 0 : within) + away * away * count) / rows;
    }
  }
}

template <class T, bool RESIDUAL, bool RELU>
static void apply_chunk(const Channels &by, const T *__restrict x, const T *__restrict residual, T *__restrict y,
                        Size rows, Size channels) {
  const float *__restrict center = by.center.data(), *__restrict scale = by.scale.data();
  const float *__restrict shift = by.shift.data();
  for (Size row = 0; row < rows; row++)
    for (Size c = 0; c < channels; c++) {
      const Size i = row * channels + c;
      float value = (load(x[i]) - center[c]) * scale[c] + shift[c];
      if constexpr (RESIDUAL) value += load(residual[i]);
      if constexpr (RELU) value = value < 0 ? 0 : value;  // NaN stays
      store(value, y + i);
    }
}

template <class T>
static void apply(const Norm &norm, const T *x, const T *residual, T *y, int threads) {
  const Channels by(norm);
  const auto function = residual ? norm.relu ? apply_chunk<T, true, true> : apply_chunk<T, true, false>
                                 : norm.relu ? apply_chunk<T, false, true> : apply_chunk<T, false, false>;
  for_each_chunk(norm.rows, threads, [&](Size, Size first, Size count) {
    const Size at = first * norm.channels;
    function(by, x + at, residual ? residual + at : nullptr, y + at, count, norm.channels);
  });
}

// The gradient of the output that passes ReLU
template <Mask MASK, class T>
static inline float passing(float grad, float x, const T *y, Size i, float scale, float shift) {
  if constexpr (MASK == FROM_INPUT) return x * scale + shift <= 0 ? 0 : grad;
  if constexpr (MASK == FROM_OUTPUT) return load(y[i]) <= 0 ? 0 : grad;
  return grad;
}

// sums (2, channels) of the gradient that passes, and of its product with x - center; FROM_OUTPUT keeps that gradient
template <class T, Mask MASK>
static void grad_sums_chunk(const Channels &by, const T *__restrict x, const T *__restrict y, const T *__restrict grad,
                            T *__restrict passed, Size rows, Size channels, float *__restrict sums) {
  const float *__restrict center = by.center.data(), *__restrict scale = by.scale.data();
  const float *__restrict shift = by.shift.data();
  float *__restrict product = sums + channels;
  std::fill_n(sums, 2 * channels, 0.0f);
  for (Size row = 0; row < rows; row++)
    for (Size c = 0; c < channels; c++) {
      const Size i = row * channels + c;
      const float d = load(x[i]) - center[c];
      const float g = passing<MASK>(load(grad[i]), d, y, i, scale[c], shift[c]);
      if constexpr (MASK == FROM_OUTPUT) store(g, passed + i);
      sums[c] += g;
      product[c] += g * d;
    }
}

struct Slopes {  // grad_x = gradient * scale + (x - center) * slope + offset
  std::vector<float> slope, offset;
};

template <class T, Mask MASK, bool TRAINING>
static void grad_chunk(const Channels &by, const Slopes &slopes, const T *__restrict x, const T *__restrict grad,
                       T *__restrict grad_x, Size rows, Size channels) {
  const float *__restrict center = by.center.data(), *__restrict scale = by.scale.data();
  const float *__restrict shift = by.shift.data(), *__restrict slope = slopes.slope.data();
  const float *__restrict offset = slopes.offset.data();
  for (Size row = 0; row < rows; row++)
    for (Size c = 0; c < channels; c++) {
      const Size i = row * channels + c;
      const float d = load(x[i]) - center[c];
      const float g = passing<MASK>(load(grad[i]), d, x, i, scale[c], shift[c]);
      store(TRAINING ? g * scale[c] + (d * slope[c] + offset[c]) : g * scale[c], grad_x + i);
    }
}

template <class T>
static void backward(const Norm &norm, const T *x, const T *y, const T *grad, T *grad_x, T *passed, float *grad_weight,
                     float *grad_bias, int threads) {
  const Channels by(norm);
  const Size channels = norm.channels;
  std::vector<float> parts(divide_up(norm.rows, CHUNK) * 2 * channels);
  const auto sums_of = y           ? grad_sums_chunk<T, FROM_OUTPUT>
                       : norm.relu ? grad_sums_chunk<T, FROM_INPUT>
                                   : grad_sums_chunk<T, NONE>;
  for_each_chunk(norm.rows, threads, [&](Size chunk, Size first, Size count) {
    const Size at = first * channels;
    sums_of(by, x + at, y ? y + at : nullptr, grad + at, y ? passed + at : nullptr, count, channels,
            &parts[chunk * 2 * channels]);
  });
  std::vector<double> sum(channels), product(channels);
  for (const float *part = parts.data(); part != parts.data() + parts.size(); part += 2 * channels)
    for (Size c = 0; c < channels; c++) sum[c] += part[c], product[c] += part[channels + c];
  Slopes slopes{std::vector<float>(channels), std::vector<float>(channels)};
  for (Size c = 0; c < channels; c++) {
    const double normalized = (product[c] - by.rest[c] * sum[c]) / by.deviation[c];  // sum of gradient * normalized x
    const double slope = -by.scale[c] / by.deviation[c] * normalized / norm.rows;
    grad_weight[c] = normalized;
    grad_bias[c] = sum[c];
    slopes.slope[c] = slope;
    slopes.offset[c] = -by.scale[c] * sum[c] / norm.rows - slope * by.rest[c];
  }
  const T *rest = y ? passed : grad;  // ReLU has been applied to `passed`
  const auto grad_of = norm.relu && !y
                           ? norm.training ? grad_chunk<T, FROM_INPUT, true> : grad_chunk<T, FROM_INPUT, false>
                           : norm.training ? grad_chunk<T, NONE, true> : grad_chunk<T, NONE, false>;
  for_each_chunk(norm.rows, threads, [&](Size, Size first, Size count) {
    const Size at = first * channels;
    grad_of(by, slopes, x + at, rest + at, grad_x + at, count, channels);
  });
}

extern "C" {

// statistics (2, channels): mean and biased variance of the rows of x
void ceco3d_statistics(bool half, int threads, const void *x, Size rows, Size channels, double *to) {
  if (half)
    statistics((const uint16_t *)x, rows, channels, to, to + channels, threads);
  else
    statistics((const float *)x, rows, channels, to, to + channels, threads);
}

// y = relu(normalized x * weight + bias + residual); `residual` may be null
void ceco3d_normalize(bool half, int threads, const Norm *norm, const void *x, const void *residual, void *y) {
  if (half)
    apply(*norm, (const uint16_t *)x, (const uint16_t *)residual, (uint16_t *)y, threads);
  else
    apply(*norm, (const float *)x, (const float *)residual, (float *)y, threads);
}

// Gradients of ceco3d_normalize. With ReLU and a residual, `y` is its output and `passed` receives the gradient of the
// residual; otherwise both are null.
void ceco3d_normalize_gradient(bool half, int threads, const Norm *norm, const void *x, const void *y, const void *grad,
                               void *grad_x, void *passed, float *grad_weight, float *grad_bias) {
  if (half)
    backward(*norm, (const uint16_t *)x, (const uint16_t *)y, (const uint16_t *)grad, (uint16_t *)grad_x,
             (uint16_t *)passed, grad_weight, grad_bias, threads);
  else
    backward(*norm, (const float *)x, (const float *)y, (const float *)grad, (float *)grad_x, (float *)passed,
             grad_weight, grad_bias, threads);
}
}
