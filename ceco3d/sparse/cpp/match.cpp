// Kernel maps on the CPU: both key lists are sorted, so one walk through both finds the pairs of a column of offsets,
// whose keys lie next to each other.
#include <algorithm>
#include <cstdint>
#include <vector>

using Size = int64_t;

struct Keys {
  const int64_t *values;
  Size size;
};

struct Column {  // offsets along z, ascending: their keys follow each other
  int64_t step;  // of the first
  Size first, count;  // the place of the first among all offsets; how many
};

// Calls found(row, input row, mask) for each output row of [begin, end): bit j of `mask` is set if offset j of the column
// leads to an input row; the first of these is `input row`, and the others follow it.
template <class Found>
[[gnu::always_inline]] inline void walk(Keys in, Keys out, Size begin, Size end, const Column &column, int shift,
                                        Found found) {
  const int64_t *last = in.values + in.size;
  const int64_t *at = std::lower_bound(in.values, last, out.values[begin] + column.step);
  const uint64_t count = column.count;
  for (Size row = begin; row < end; row++) {
    const int64_t wanted = out.values[row] + column.step;
    if (last - at > 4) at += (at[0] < wanted) + (at[1] < wanted) + (at[2] < wanted) + (at[3] < wanted);  // no branch
    while (at < last && *at < wanted) at++;
    uint32_t mask = 0;
    for (Size i = 0, valid = std::min<Size>(count, last - at); i < valid; i++) {
      const uint64_t j = (uint64_t)(at[i] - wanted) >> shift;
      mask |= (uint32_t)(j < count) << (j & 31);
    }
    found(row, at - in.values, mask);
  }
}

extern "C" {

// Pairs (i, o) with in[i] == out[o] + the step of k, ascending, for every offset k of every column. Along z, input keys
// and steps lie a multiple of 2^shift from output keys. The output rows come in chunks of `chunk`. With null rows, only counts: places[b, k] becomes the number of pairs of k in chunk b. Otherwise
// writes them from places[b, k] on.
void ceco3d_match(int threads, const int64_t *in_keys, Size num_in, const int64_t *out_keys, Size num_out,
                  const Column *columns, Size num_columns, Size offsets, int shift, Size chunk, Size *places,
                  int32_t *in_rows, int32_t *out_rows) {
  const Keys in{in_keys, num_in}, out{out_keys, num_out};
#pragma omp parallel num_threads(threads)
  {
    std::vector<int32_t> ins, outs;  // (offsets of a column, chunk)
    std::vector<Size> counts;
#pragma omp for schedule(dynamic)
    for (Size task = 0; task < (num_out + chunk - 1) / chunk * num_columns; task++) {
      const Column column = columns[task % num_columns];
      const Size block = task / num_columns, begin = block * chunk, end = std::min(num_out, begin + chunk);
      Size *place = places + block * offsets + column.first;
      counts.assign(column.count, 0);
      if (!in_rows) {
        walk(in, out, begin, end, column, shift, [&](Size, Size, uint32_t mask) {
          for (Size j = 0; j < column.count; j++) counts[j] += mask >> j & 1;
        });
        std::copy_n(counts.data(), column.count, place);
        continue;
      }
      ins.resize(column.count * chunk), outs.resize(column.count * chunk);
      walk(in, out, begin, end, column, shift, [&](Size row, Size at, uint32_t mask) {
        for (Size j = 0; j < column.count; j++) {
          const Size found = mask >> j & 1, to = j * chunk + counts[j];
          ins[to] = at, outs[to] = row;  // no branch: it could not be predicted
          counts[j] += found, at += found;
        }
      });
      for (Size j = 0; j < column.count; j++) {
        std::copy_n(&ins[j * chunk], counts[j], in_rows + place[j]);
        std::copy_n(&outs[j * chunk], counts[j], out_rows + place[j]);
      }
    }
  }
}
}
