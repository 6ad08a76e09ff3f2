#pragma once
// What the matrices, weights and caches of the CUDA backend consist of. Its sources are compiled
// once for each kind of element, into a library of its own.

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <library_types.h>

#include "engine/tensor.h"

namespace gnomon::cuda {

#ifdef GNOMON_CUDA_FP32

using Element = float;
inline constexpr DType kElementDType = DType::f32;
inline constexpr cudaDataType kElementDataType = CUDA_R_32F;

__host__ __device__ inline float to_float(float value) { return value; }
__host__ __device__ inline float to_element(float value) { return value; }
__host__ __device__ inline float to_element(double value) { return static_cast<float>(value); }

#else

using Element = __nv_bfloat16;
inline constexpr DType kElementDType = DType::bf16;
inline constexpr cudaDataType kElementDataType = CUDA_R_16BF;

__host__ __device__ inline float to_float(__nv_bfloat16 value) { return __bfloat162float(value); }
__host__ __device__ inline __nv_bfloat16 to_element(float value) { return __float2bfloat16(value); }
__host__ __device__ inline __nv_bfloat16 to_element(double value) {
  return __double2bfloat16(value);
}

#endif

/// Elements in the 16 bytes that a thread loads at a time.
inline constexpr int kPieceElements = 16 / sizeof(Element);

}  // namespace gnomon::cuda
