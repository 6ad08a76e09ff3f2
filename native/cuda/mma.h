#pragma once
// The warp-level tensor instructions of sm_80 and later. bf16 in, fp32 out.

#include <cuda_bf16.h>

#include <cstdint>

namespace gnomon::cuda {

/// c (16, 8) += a (16, 16) b (16, 8). Lane l holds of a: rows l/4 and l/4 + 8, columns 2(l%4) and
/// 2(l%4) + 8, in pairs; of b: rows 2(l%4) and 2(l%4) + 8, in pairs, column l/4; of c: rows l/4
/// (first two) and l/4 + 8, columns 2(l%4) and the next.
__device__ inline void mma_16x8x16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                   uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Four 8x8 matrices from shared memory; lanes 8i to 8i + 7 give the rows of matrix i.
__device__ inline void ldmatrix_x4(uint32_t (&out)[4], const __nv_bfloat16* row) {
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address));
}

__device__ inline void ldmatrix_x4_transposed(uint32_t (&out)[4], const __nv_bfloat16* row) {
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address));
}

__device__ inline uint32_t pack_bf16(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

}  // namespace gnomon::cuda
