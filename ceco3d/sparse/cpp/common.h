// What the kernels share: the pairs of a kernel map, bfloat16, and sums that are added in a fixed order.
#pragma once
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <sched.h>

using Size = int64_t;
using Unit = uint32_t;  // 32 bits: one float, or two bfloat16

struct alignas(64) CacheLine {  // vectors and tiles are loaded fastest from whole ones
  Unit units[16];
};

inline Size divide_up(Size value, Size by) { return (value + by - 1) / by; }

inline uint16_t to_bf16(float value) {  // nearest, ties to even
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return value != value ? 0x7fc0 : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

inline float from_bf16(uint16_t value) {
  const uint32_t bits = (uint32_t)value << 16;
  float number;
  std::memcpy(&number, &bits, 4);
  return number;
}

struct Pairs {              // the pairs of a kernel map
  const int32_t *in, *out;  // rows, grouped by offset
  const Size *cuts;         // (blocks + 1, offsets): where the pairs of an offset with output rows of a block begin
  Size offsets, num_out, block_rows;
};

struct Epilogue {        // what follows the sums of a convolution: relu(bias + sum + residual)
  const float *bias;     // (columns) or null
  const void *residual;  // (num_out, columns) of the type of the output, or null
  bool relu;
};

// Threads that add to the same sums take turns in the order of the blocks, so the result does not depend on their number.
class Turns {
 public:
  explicit Turns(Size sums) : next(new std::atomic<Size>[sums]()) {}
  void wait(Size sum, Size block) const {
    while (next[sum].load(std::memory_order_acquire) != block) sched_yield();
  }
  void pass(Size sum, Size block) { next[sum].store(block + 1, std::memory_order_release); }

 private:
  std::unique_ptr<std::atomic<Size>[]> next;
};
