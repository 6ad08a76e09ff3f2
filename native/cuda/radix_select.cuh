#pragma once
// The k-th largest of n numbers by one block, without sorting.

#include <cstdint>
#include <cub/block/block_scan.cuh>

namespace gnomon::cuda {

constexpr int kSelectThreads = 1024;
constexpr int kSelectDigits = 256;
using SelectScan = cub::BlockScan<int, kSelectThreads>;

/// Bits that sort as unsigned numbers like the floats do. The float is not NaN.
__device__ inline uint32_t ordered_bits(float value) {
  const uint32_t bits = __float_as_uint(value);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/// The float whose ordered_bits these are.
__device__ inline float float_of_ordered(uint32_t bits) {
  return __uint_as_float(bits & 0x80000000u ? bits & 0x7fffffffu : ~bits);
}

struct SelectShared {
  SelectScan::TempStorage scan;
  int histogram[kSelectDigits];
  uint32_t threshold;
  int equal_taken;
};

/// Sets shared.threshold to the value at or above which the `count` largest of ranks (n) lie, and
/// shared.equal_taken to how many of those equal to it are among them. 1 <= count <= n. Called by
/// all kSelectThreads threads of a block; ends with a barrier.
__device__ inline void find_threshold(const uint32_t* ranks, int n, int count,
                                      SelectShared& shared) {
  if (threadIdx.x == 0) {
    shared.threshold = 0;
    shared.equal_taken = count;
  }
  for (int shift = 24; shift >= 0; shift -= 8) {
    if (threadIdx.x < kSelectDigits) shared.histogram[threadIdx.x] = 0;
    __syncthreads();
    const uint32_t prefix = shared.threshold;
    const uint32_t mask = shift == 24 ? 0 : ~0u << (shift + 8);
    for (int i = threadIdx.x; i < n; i += kSelectThreads) {
      const uint32_t rank = ranks[i];
      if ((rank & mask) == prefix) atomicAdd(&shared.histogram[rank >> shift & 255], 1);
    }
    __syncthreads();
    // The threshold's digit is the one with fewer than `remaining` above it, but not with it.
    const int digit = kSelectDigits - 1 - static_cast<int>(threadIdx.x);  // descending
    const int here = threadIdx.x < kSelectDigits ? shared.histogram[digit] : 0;
    int above;
    SelectScan(shared.scan).ExclusiveSum(here, above);
    const int remaining = shared.equal_taken;
    __syncthreads();
    if (threadIdx.x < kSelectDigits && above < remaining && above + here >= remaining) {
      shared.threshold = prefix | static_cast<uint32_t>(digit) << shift;
      shared.equal_taken = remaining - above;
    }
    __syncthreads();
  }
}

}  // namespace gnomon::cuda
