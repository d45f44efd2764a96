// Checks the C++ kernels against sums in double, without Python: for compilers and processors that tests cannot load.
// Prints a line per kernel; exits with 1 if one is wrong.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "common.h"

extern "C" {
Size ceco3d_panel();
bool ceco3d_has_bf16();
bool ceco3d_has_tiles();
void ceco3d_pack_weight(bool, int, const float *, void *, Size, Size, Size, bool);
void ceco3d_convolve(bool, int, const Pairs *, const void *, const void *, const Epilogue *, void *, Size, Size);
void ceco3d_weight_gradient(bool, int, const Pairs *, const void *, const void *, float *, Size, Size);
void ceco3d_tiles_pack_weight(int, const float *, void *, Size, Size, Size, bool);
void ceco3d_tiles_neighbors(int, const Pairs *, int32_t *, uint8_t *);
void ceco3d_tiles_convolve(bool, int, const int32_t *, const uint8_t *, const void *, const void *, const Epilogue *,
                           void *, Size, Size, Size, Size, Size);
void ceco3d_tiles_weight_gradient(bool, int, const Pairs *, const void *, const void *, float *, Size, Size);
void ceco3d_statistics(bool, int, const void *, Size, Size, double *);
}

constexpr Size OFFSETS = 9, ROWS = 301, BLOCK = 64, IN = 64, OUT = 96;
static int wrong = 0;

static void report(const char *name, const std::vector<double> &wanted, const std::vector<float> &got, double tolerance) {
  double error = 0, most = 0;
  for (size_t i = 0; i < wanted.size(); i++)
    error = std::max(error, std::fabs(wanted[i] - got[i])), most = std::max(most, std::fabs(wanted[i]));
  const bool right = error <= tolerance * most;
  std::printf("%s: error %.1e, %s\n", name, error / most, right ? "right" : "WRONG");
  wrong += !right;
}

static std::vector<float> widened(const std::vector<uint16_t> &half) {
  std::vector<float> out(half.size());
  std::transform(half.begin(), half.end(), out.begin(), from_bf16);
  return out;
}

int main() {
  std::mt19937 random(0);
  std::normal_distribution<float> normal;
  const auto values = [&](Size count) {  // that bfloat16 holds exactly
    std::vector<float> out(count);
    for (float &value : out) value = from_bf16(to_bf16(normal(random)));
    return out;
  };
  const auto halves = [](const std::vector<float> &from) {
    std::vector<uint16_t> out(from.size());
    std::transform(from.begin(), from.end(), out.begin(), to_bf16);
    return out;
  };
  std::vector<int32_t> in_rows, out_rows;
  std::vector<Size> starts;
  const Size blocks = divide_up(ROWS, BLOCK);
  for (Size k = 0; k < OFFSETS; k++) {
    starts.push_back(in_rows.size());
    for (int32_t row = 0; row < ROWS; row++)
      if (random() % 5 < 2) out_rows.push_back(row), in_rows.push_back(random() % ROWS);
  }
  starts.push_back(in_rows.size());
  std::vector<Size> cuts((blocks + 1) * OFFSETS);
  for (Size block = 0; block <= blocks; block++)
    for (Size k = 0; k < OFFSETS; k++)
      cuts[block * OFFSETS + k] =
          std::lower_bound(&out_rows[starts[k]], &out_rows[0] + starts[k + 1], block * BLOCK) - &out_rows[0];
  const Pairs pairs{in_rows.data(), out_rows.data(), cuts.data(), OFFSETS, ROWS, BLOCK};

  const auto in = values(ROWS * IN), weight = values(OFFSETS * IN * OUT), bias = values(OUT), grad = values(ROWS * OUT);
  const auto residual = values(ROWS * OUT);
  std::vector<double> wanted(ROWS * OUT), gradient(OFFSETS * IN * OUT);
  for (Size i = 0; i < ROWS * OUT; i++) wanted[i] = bias[i % OUT];
  for (Size k = 0; k < OFFSETS; k++)
    for (Size pair = starts[k]; pair < starts[k + 1]; pair++)
      for (Size c = 0; c < IN; c++)
        for (Size n = 0; n < OUT; n++) {
          const double left = in[in_rows[pair] * IN + c];
          wanted[out_rows[pair] * OUT + n] += left * weight[(k * IN + c) * OUT + n];
          gradient[(k * IN + c) * OUT + n] += left * grad[out_rows[pair] * OUT + n];
        }
  for (Size i = 0; i < ROWS * OUT; i++) wanted[i] = std::max(0.0, wanted[i] + residual[i]);

  const auto half_in = halves(in), half_grad = halves(grad), half_residual = halves(residual);
  const Epilogue epilogue{bias.data(), residual.data(), true}, half_epilogue{bias.data(), half_residual.data(), true};
  std::vector<float> out(ROWS * OUT), sums(gradient.size());
  std::vector<uint16_t> half_out(ROWS * OUT);
  const Size panel = ceco3d_panel(), panels = divide_up(OUT, panel);
  std::vector<float> packed(OFFSETS * panels * IN * panel);
  ceco3d_pack_weight(false, 2, weight.data(), packed.data(), OFFSETS, IN, OUT, false);
  ceco3d_convolve(false, 2, &pairs, in.data(), packed.data(), &epilogue, out.data(), IN, OUT);
  report("float32 convolution", wanted, out, 1e-5);
  ceco3d_weight_gradient(false, 2, &pairs, in.data(), grad.data(), sums.data(), IN, OUT);
  report("float32 weight gradient", gradient, sums, 1e-5);
  if (ceco3d_has_bf16()) {
    ceco3d_pack_weight(true, 2, weight.data(), packed.data(), OFFSETS, IN, OUT, false);
    ceco3d_convolve(true, 2, &pairs, half_in.data(), packed.data(), &half_epilogue, half_out.data(), IN / 2, OUT);
    report("bfloat16 convolution", wanted, widened(half_out), 1e-2);
    ceco3d_weight_gradient(true, 2, &pairs, half_in.data(), half_grad.data(), sums.data(), IN, OUT);
    report("bfloat16 weight gradient", gradient, sums, 1e-5);
  }
  for (const bool emulate : {true, false}) {
    if (!emulate && !ceco3d_has_tiles()) continue;
    std::vector<int32_t> rows(divide_up(ROWS, 32) * OFFSETS * 32);
    std::vector<uint8_t> used(divide_up(ROWS, 32) * OFFSETS);
    std::vector<uint32_t> tiles(OFFSETS * (IN / 32) * (OUT / 16) * 256);
    ceco3d_tiles_neighbors(2, &pairs, rows.data(), used.data());
    ceco3d_tiles_pack_weight(2, weight.data(), tiles.data(), OFFSETS, IN, OUT, false);
    ceco3d_tiles_convolve(emulate, 2, rows.data(), used.data(), half_in.data(), tiles.data(), &half_epilogue,
                          half_out.data(), ROWS, BLOCK, OFFSETS, IN / 32, OUT);
    report(emulate ? "emulated tiles" : "AMX tiles", wanted, widened(half_out), 1e-2);
    ceco3d_tiles_weight_gradient(emulate, 2, &pairs, half_in.data(), half_grad.data(), sums.data(), IN, OUT);
    report(emulate ? "emulated tiles, weight gradient" : "AMX tiles, weight gradient", gradient, sums, 1e-5);
  }
  std::vector<double> mean(2 * IN), found(2 * IN);
  for (Size i = 0; i < ROWS * IN; i++) mean[i % IN] += in[i] / (double)ROWS;
  for (Size i = 0; i < ROWS * IN; i++) mean[IN + i % IN] += std::pow(in[i] - mean[i % IN], 2) / ROWS;
  ceco3d_statistics(false, 2, in.data(), ROWS, IN, found.data());
  report("statistics", mean, std::vector<float>(found.begin(), found.end()), 1e-5);
  return wrong > 0;
}
