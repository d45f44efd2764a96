// Kernel maps on the CPU: both key lists are sorted, so one walk through both finds the pairs of an offset.
#include <cstdint>

using Size = int64_t;

extern "C" {

// Pairs (i, o) with in_keys[i] == out_keys[o] + steps[k], ascending, for every offset k. With null rows, only counts:
// starts[k + 1] becomes the number of pairs of k. Otherwise writes the pairs of k from starts[k] on.
void ceco3d_match(int threads, const int64_t *in_keys, Size num_in, const int64_t *out_keys, Size num_out,
                  const int64_t *steps, Size offsets, Size *starts, int32_t *in_rows, int32_t *out_rows) {
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (Size k = 0; k < offsets; k++) {
    Size in = 0, found = in_rows ? starts[k] : 0;
    for (Size out = 0; out < num_out; out++) {
      const int64_t wanted = out_keys[out] + steps[k];
      while (in < num_in && in_keys[in] < wanted) in++;
      if (in == num_in) break;
      if (in_keys[in] != wanted) continue;
      if (in_rows) in_rows[found] = in, out_rows[found] = out;
      found++;
    }
    if (!in_rows) starts[k + 1] = found;
  }
}
}
