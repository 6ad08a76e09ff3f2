#pragma once
#include <cublas_v2.h>
#include <cuda_runtime.h>

namespace gnomon::cuda {

/// Lower Cholesky factor of a symmetric positive definite matrix (size, size), column-major, in
/// place; what lies above the diagonal is neither read nor written. `blas` has `stream` as its
/// stream. A column without a positive pivot is dropped: a solve with the factor gives zeros there.
void cholesky(cublasHandle_t blas, double* matrix, int size, cudaStream_t stream);

}  // namespace gnomon::cuda
