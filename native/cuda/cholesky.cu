// Blocks down the diagonal are factored by one thread block each, and cuBLAS takes what lies below
// them off the rest. The ranks that occur are a block or two.

#include <algorithm>

#include "cuda/check.h"
#include "cuda/cholesky.h"

namespace gnomon::cuda {

namespace {

constexpr int kBlock = 160;
constexpr int kPanel = 32;  // columns; one a warp
constexpr int kTiles = kBlock / kPanel, kThreads = 32 * kPanel;
constexpr double kDropped = 1e300;  // in place of a pivot that is not positive

/// One thread block. The leading (n, n) of a matrix whose columns are `stride` apart, n <= kBlock,
/// a panel of columns at a time. A warp has a column of the panel, a lane every 32nd row of it.
__global__ void __launch_bounds__(kThreads) factor_block(double* matrix, int n, int stride) {
  __shared__ double panel[kPanel][kBlock];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const auto at = [&](int row, int column) -> double& {
    return matrix[static_cast<int64_t>(column) * stride + row];
  };
  for (int from = 0; from < n; from += kPanel) {
    const int own = from + warp;
    double held[kTiles];
#pragma unroll
    for (int i = 0; i < kTiles; ++i) {
      const int row = from + i * 32 + lane;
      held[i] = row < n && own <= row ? at(row, own) : 0;
    }
    for (int j = 0; j < min(kPanel, n - from); ++j) {
      if (warp == j) {
        const double given = __shfl_sync(~0u, held[0], j);
        const double pivot = given > 0 ? given : kDropped, scale = rsqrt(pivot);
        if (lane == j) held[0] = pivot;
#pragma unroll
        for (int i = 0; i < kTiles; ++i) {
          const int row = from + i * 32 + lane;
          held[i] *= scale;
          panel[j][i * 32 + lane] = held[i];
          if (row < n && own <= row) at(row, own) = held[i];
        }
      }
      __syncthreads();
      if (warp <= j) continue;
#pragma unroll
      for (int i = 0; i < kTiles; ++i) {
        if (i > 0 || lane >= warp) held[i] -= panel[j][i * 32 + lane] * panel[j][warp];
      }
    }
    // The columns behind the panel, four a warp.
    constexpr int kOwn = (kTiles - 1) * kPanel / 32;
    const int first = kPanel + warp * kOwn;  // as rows and columns of the panel count
    for (int i = 1; i < kTiles; ++i) {
      const int row = i * 32 + lane;
      double sums[kOwn] = {};
#pragma unroll 4
      for (int k = 0; k < kPanel; ++k) {
#pragma unroll
        for (int c = 0; c < kOwn; ++c) sums[c] += panel[k][row] * panel[k][first + c];
      }
#pragma unroll
      for (int c = 0; c < kOwn; ++c) {
        if (from + row < n && first + c <= row) at(from + row, from + first + c) -= sums[c];
      }
    }
    __syncthreads();
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
