#pragma once
// The warp-level tensor instructions of sm_80 and later: elements in, fp32 out.

#include <cstdint>

#include "cuda/element.h"

namespace gnomon::cuda {

// Two neighbours, as the instructions take them.
#ifdef GNOMON_CUDA_FP32

using Pair = float2;
__device__ inline Pair pair_of(float low, float high) { return {low, high}; }

#else

using Pair = uint32_t;
__device__ inline Pair pair_of(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

#endif

/// Four and eight neighbours.
struct alignas(2 * sizeof(Pair)) Pairs2 {
  Pair x, y;
};
struct alignas(16) Pairs4 {
  Pair x, y, z, w;
};

#ifdef GNOMON_CUDA_FP32

/// What TF32, of eleven significant bits, keeps of a number, and what it loses, to as many bits.
struct Split {
  uint32_t big, small;
};

__device__ inline uint32_t to_tf32(float value) {
  uint32_t bits;
  // Volatile, that it stays where it is: the parts of a whole matrix ahead of a loop would take
  // twice its registers.
  asm volatile("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
}

__device__ inline Split split(float value) {
  const uint32_t big = to_tf32(value);
  return {big, to_tf32(value - __uint_as_float(big))};
}

__device__ inline void mma_tf32(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                                uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

/// c (16, 8) += a (16, 8) b (8, 8), of which a lane holds a pair of columns of rows l/4 and
/// l/4 + 8, and the same pair of rows of column l/4. A product of fp32 is three of TF32, the
/// smallest first; that of the two rests is below what fp32 keeps. kExact: a has no rest.
template <bool kExact>
__device__ void mma_fp32(float (&c)[4], const Pair& upper, const Pair& lower, const Pair& b) {
  const auto split_a = [](float value) {
    return kExact ? Split{__float_as_uint(value), 0} : split(value);
  };
  const Split a0 = split_a(upper.x), a1 = split_a(lower.x);
  const Split a2 = split_a(upper.y), a3 = split_a(lower.y);
  const Split b0 = split(b.x), b1 = split(b.y);
  if (!kExact) mma_tf32(c, a0.small, a1.small, a2.small, a3.small, b0.big, b1.big);
  mma_tf32(c, a0.big, a1.big, a2.big, a3.big, b0.small, b1.small);
  mma_tf32(c, a0.big, a1.big, a2.big, a3.big, b0.big, b1.big);
}

/// c (16, 8) += a (16, 16) b (16, 8). Lane l holds of a: rows l/4 and l/4 + 8, columns 2(l%4) and
/// 2(l%4) + 8, in pairs; of b: rows 2(l%4) and 2(l%4) + 8, in pairs, column l/4; of c: rows l/4
/// (first two) and l/4 + 8, columns 2(l%4) and the next. kExact: a consists of small whole numbers.
template <bool kExact = false>
__device__ void mma_16x8x16(float (&c)[4], const Pair (&a)[4], const Pair& b0, const Pair& b1) {
  // The instruction pairs columns l%4 and l%4 + 4 of a with such rows of b: any order will do that
  // is the same for both.
  mma_fp32<kExact>(c, a[0], a[1], b0);
  mma_fp32<kExact>(c, a[2], a[3], b1);
}

/// Four 8x8 matrices from shared memory; lanes 8i to 8i + 7 give the rows of matrix i. A lane gets
/// columns 2(l%4) and the next of row l/4 of each. No instruction does it for 32 bits.
__device__ inline void ldmatrix_x4(Pair (&out)[4], const float* row) {
  const int lane = threadIdx.x % 32;
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint32_t mine = __shfl_sync(~0u, address, i * 8 + lane / 4) + lane % 4 * sizeof(Pair);
    asm volatile("ld.shared.v2.f32 {%0,%1}, [%2];" : "=f"(out[i].x), "=f"(out[i].y) : "r"(mine));
  }
}

/// The same of the transposed matrices: rows 2(l%4) and the next of column l/4.
__device__ inline void ldmatrix_x4_transposed(Pair (&out)[4], const float* row) {
  const int lane = threadIdx.x % 32;
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  const uint32_t column = lane / 4 * sizeof(float);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int from = i * 8 + lane % 4 * 2;
    const uint32_t first = __shfl_sync(~0u, address, from) + column;
    const uint32_t second = __shfl_sync(~0u, address, from + 1) + column;
    asm volatile("ld.shared.f32 %0, [%1];" : "=f"(out[i].x) : "r"(first));
    asm volatile("ld.shared.f32 %0, [%1];" : "=f"(out[i].y) : "r"(second));
  }
}

#else

/// c (16, 8) += a (16, 16) b (16, 8). Lane l holds of a: rows l/4 and l/4 + 8, columns 2(l%4) and
/// 2(l%4) + 8, in pairs; of b: rows 2(l%4) and 2(l%4) + 8, in pairs, column l/4; of c: rows l/4
/// (first two) and l/4 + 8, columns 2(l%4) and the next. What a consists of makes no difference.
template <bool = false>
__device__ void mma_16x8x16(float (&c)[4], const Pair (&a)[4], Pair b0, Pair b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Four 8x8 matrices from shared memory; lanes 8i to 8i + 7 give the rows of matrix i.
__device__ inline void ldmatrix_x4(Pair (&out)[4], const __nv_bfloat16* row) {
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address));
}

__device__ inline void ldmatrix_x4_transposed(Pair (&out)[4], const __nv_bfloat16* row) {
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address));
}

#endif

}  // namespace gnomon::cuda
