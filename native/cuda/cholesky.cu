// Block by block down the diagonal: one thread block factors what lies on it, cuBLAS solves for
// the panel below and takes its products off the rest. cuSOLVER does no better at the ranks that
// occur, and would bring hundreds of MiB of libraries for this one call.

#include <algorithm>

#include "cuda/check.h"
#include "cuda/cholesky.h"

namespace gnomon::cuda {

namespace {

constexpr int kBlock = 64;
constexpr int kThreads = 512;
constexpr double kDropped = 1e150;  // its square is still finite

/// One thread block. The leading (n, n) of a matrix whose columns are `stride` apart.
__global__ void __launch_bounds__(kThreads) factor_block(double* matrix, int n, int stride) {
  __shared__ double columns[kBlock][kBlock];
  const int row = threadIdx.x % kBlock, group = threadIdx.x / kBlock;
  for (int c = group; c <= row && row < n; c += kThreads / kBlock) {
    columns[c][row] = matrix[static_cast<int64_t>(c) * stride + row];
  }
  __syncthreads();
  for (int j = 0; j < n; ++j) {
    const double pivot = columns[j][j];
    __syncthreads();
    if (group == 0 && row >= j && row < n) {
      const double root = pivot > 0 ? sqrt(pivot) : kDropped;
      columns[j][row] = row == j ? root : columns[j][row] / root;
    }
    __syncthreads();
    for (int c = j + 1 + group; c <= row && row < n; c += kThreads / kBlock) {
      columns[c][row] -= columns[j][row] * columns[j][c];
    }
    __syncthreads();
  }
  for (int c = group; c <= row && row < n; c += kThreads / kBlock) {
    matrix[static_cast<int64_t>(c) * stride + row] = columns[c][row];
  }
}

}  // namespace

void cholesky(cublasHandle_t blas, double* matrix, int size, cudaStream_t stream) {
  const double one = 1, minus_one = -1;
  for (int from = 0; from < size; from += kBlock) {
    const int n = std::min(kBlock, size - from), below = size - from - n;
    double* const diagonal = matrix + static_cast<int64_t>(from) * size + from;
    factor_block<<<1, kThreads, 0, stream>>>(diagonal, n, size);
    CUDA_CHECK(cudaGetLastError());
    if (below == 0) return;
    double* const panel = diagonal + n;
    double* const rest = panel + static_cast<int64_t>(n) * size;
    CUDA_CHECK(cublasDtrsm(blas, CUBLAS_SIDE_RIGHT, CUBLAS_FILL_MODE_LOWER, CUBLAS_OP_T,
                           CUBLAS_DIAG_NON_UNIT, below, n, &one, diagonal, size, panel, size));
    CUDA_CHECK(cublasDsyrk(blas, CUBLAS_FILL_MODE_LOWER, CUBLAS_OP_N, below, n, &minus_one, panel,
                           size, &one, rest, size));
  }
}

}  // namespace gnomon::cuda
