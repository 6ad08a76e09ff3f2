#pragma once
#include <cublasLt.h>
#include <cuda_runtime.h>

#include <string>

#include "engine/error.h"

namespace gnomon::cuda {

/// Throws EngineError device_failed naming the call; out_of_memory for a failed allocation.
inline void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  const char* code = status == cudaErrorMemoryAllocation ? "out_of_memory" : "device_failed";
  throw EngineError(code, std::string(call) + ": " + cudaGetErrorString(status));
}

inline void check(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw EngineError("device_failed", std::string(call) + ": " + cublasLtGetStatusString(status));
}

}  // namespace gnomon::cuda

/// Checks a CUDA, cuBLAS or cuBLASLt call.
#define CUDA_CHECK(call) ::gnomon::cuda::check((call), #call)
