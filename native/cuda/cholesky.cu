// Blocks down the diagonal are factored by one thread block each, and cuBLAS takes what lies below
// them off the rest. The ranks that occur are a block or two.

#include <algorithm>

#include "cuda/check.h"
#include "cuda/cholesky.h"

namespace gnomon::cuda {

namespace {

constexpr int kBlock = 160;
constexpr int kPanel = 32, kTiles = kBlock / 32;
constexpr int kColumns = 4;  // of a panel that a warp has
constexpr int kWarps = kPanel / kColumns, kThreads = 32 * kWarps;
constexpr int kBehind = 8;  // columns behind a panel that a warp takes at a time
static_assert((kBlock - kPanel) % (kWarps * kBehind) == 0, "as many for each warp");
constexpr double kDropped = 1e300;  // in place of a pivot that is not positive

/// One thread block. The leading (n, n) of a matrix whose columns are `stride` apart, n <= kBlock,
/// a panel of columns at a time. A lane has every 32nd row of its warp's columns.
__global__ void __launch_bounds__(kThreads) factor_block(double* matrix, int n, int stride) {
  __shared__ double panel[kPanel][kBlock];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const auto at = [&](int row, int column) -> double& {
    return matrix[static_cast<int64_t>(column) * stride + row];
  };
  for (int from = 0; from < n; from += kPanel) {
    double held[kColumns][kTiles];
    const auto each_held = [&](auto visit) {
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
#pragma unroll
        for (int i = 0; i < kTiles; ++i) {
          const int row = from + i * 32 + lane, column = from + warp * kColumns + c;
          visit(held[c][i], row, column, row < n && column <= row);
        }
      }
    };
    each_held([&](double& value, int row, int column, bool inside) {
      value = inside ? at(row, column) : 0;
    });
    for (int owner = 0; owner < kWarps && from + owner * kColumns < n; ++owner) {
      if (warp == owner) {
#pragma unroll
        for (int c = 0; c < kColumns; ++c) {
          const int column = owner * kColumns + c;
          const double given = __shfl_sync(~0u, held[c][0], column);
          const double pivot = given > 0 ? given : kDropped, scale = rsqrt(pivot);
          if (lane == column) held[c][0] = pivot;
#pragma unroll
          for (int i = 0; i < kTiles; ++i) {
            held[c][i] *= scale;
            panel[column][i * 32 + lane] = held[c][i];
          }
#pragma unroll
          for (int next = c + 1; next < kColumns; ++next) {
            const double factor = __shfl_sync(~0u, held[c][0], owner * kColumns + next);
#pragma unroll
            for (int i = 0; i < kTiles; ++i) held[next][i] -= held[c][i] * factor;
          }
        }
      }
      __syncthreads();
      if (warp <= owner) continue;
#pragma unroll
      for (int k = 0; k < kColumns; ++k) {
        const double* const column = panel[owner * kColumns + k];
#pragma unroll
        for (int c = 0; c < kColumns; ++c) {
          const double factor = column[warp * kColumns + c];
#pragma unroll
          for (int i = 0; i < kTiles; ++i) held[c][i] -= column[i * 32 + lane] * factor;
        }
      }
    }
    each_held([&](double value, int row, int column, bool inside) {
      if (inside) at(row, column) = value;
    });
    // From here on rows and columns as the panel counts them.
    for (int first = kPanel + warp * kBehind; first < n - from; first += kWarps * kBehind) {
      for (int tile = first / 32 * 32; tile < n - from; tile += 32) {
        const int row = tile + lane;
        double sums[kBehind] = {};
#pragma unroll 4
        for (int k = 0; k < kPanel; ++k) {
#pragma unroll
          for (int c = 0; c < kBehind; ++c) sums[c] += panel[k][row] * panel[k][first + c];
        }
#pragma unroll
        for (int c = 0; c < kBehind; ++c) {
          if (from + row < n && first + c <= row) at(from + row, from + first + c) -= sums[c];
        }
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
