// cuBLAS is column-major: a row-major (rank, width) is its (width, rank).

#include <random>
#include <utility>
#include <vector>

#include "cuda/check.h"
#include "cuda/cholesky.h"
#include "cuda/leading_subspace.h"

namespace gnomon::cuda {

namespace {

constexpr int kProducts = 6;  // with the matrix; the loss falls with their number
constexpr size_t kBlasWorkspaceBytes = size_t{32} << 20;
// Keeps a singular inner product matrix positive definite, far below what fp32 knows of a
// direction.
constexpr double kShift = 1e-15;
constexpr int kThreads = 256;

__global__ void widen(const float* from, int64_t count, double* to) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < count) to[i] = from[i];
}

/// One block. matrix (size, size) += kShift * trace * identity; all zero becomes the identity.
__global__ void shift_diagonal(double* matrix, int size) {
  __shared__ double sums[kThreads];
  double sum = 0;
  for (int i = threadIdx.x; i < size; i += kThreads)
    sum += matrix[static_cast<int64_t>(i) * size + i];
  sums[threadIdx.x] = sum;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    __syncthreads();
  }
  const double shift = sums[0] > 0 ? kShift * sums[0] : 1;
  for (int i = threadIdx.x; i < size; i += kThreads)
    matrix[static_cast<int64_t>(i) * size + i] += shift;
}

}  // namespace

LeadingSubspace::LeadingSubspace(int64_t width) : width_(width) {
  CUDA_CHECK(cublasCreate(&blas_));
  blas_workspace_ = DeviceBlock(kBlasWorkspaceBytes);
  gram_ = DeviceBlock(sizeof(double) * width * width);
}

LeadingSubspace::~LeadingSubspace() { cublasDestroy(blas_); }

void LeadingSubspace::reserve(int64_t rank, cudaStream_t stream) {
  if (rank <= rank_capacity_) return;
  CUDA_CHECK(cudaStreamSynchronize(stream));
  rank_capacity_ = rank;
  const size_t bytes = sizeof(double) * rank * width_;
  start_ = DeviceBlock(bytes);
  vectors_ = DeviceBlock(bytes);
  next_ = DeviceBlock(bytes);
  inner_ = DeviceBlock(sizeof(double) * rank * rank);
  std::mt19937_64 random(1);  // the same start every time, so that equal prompts get equal factors
  std::normal_distribution<double> normal;
  std::vector<double> start(rank * width_);
  for (double& value : start) value = normal(random);
  CUDA_CHECK(cudaMemcpy(start_.as<double>(), start.data(), bytes, cudaMemcpyHostToDevice));
}

const double* LeadingSubspace::find(const float* gram, int64_t rank, cudaStream_t stream) {
  reserve(rank, stream);
  CUDA_CHECK(cublasSetStream(blas_, stream));
  CUDA_CHECK(cublasSetWorkspace(blas_, blas_workspace_.as<void>(), kBlasWorkspaceBytes));
  const int64_t count = width_ * width_;
  widen<<<static_cast<unsigned>((count + kThreads - 1) / kThreads), kThreads, 0, stream>>>(
      gram, count, gram_.as<double>());
  CUDA_CHECK(cudaGetLastError());
  const int width = static_cast<int>(width_), columns = static_cast<int>(rank);
  const double one = 1, zero = 0;
  const double* from = start_.as<double>();
  for (int i = 0; i < kProducts; ++i) {
    CUDA_CHECK(cublasDgemm(blas_, CUBLAS_OP_N, CUBLAS_OP_N, width, columns, width, &one,
                           gram_.as<double>(), width, from, width, &zero, next_.as<double>(),
                           width));
    orthonormalise(next_.as<double>(), columns, stream);
    std::swap(vectors_, next_);
    from = vectors_.as<double>();
  }
  orthonormalise(vectors_.as<double>(), columns, stream);  // what the first pass left, squared
  return vectors_.as<double>();
}

/// Cholesky QR: V <- V L^-T, where V^T V = L L^T.
void LeadingSubspace::orthonormalise(double* vectors, int rank, cudaStream_t stream) {
  const int width = static_cast<int>(width_);
  const double one = 1, zero = 0;
  auto* inner = inner_.as<double>();
  CUDA_CHECK(cublasDgemm(blas_, CUBLAS_OP_T, CUBLAS_OP_N, rank, rank, width, &one, vectors, width,
                         vectors, width, &zero, inner, rank));
  shift_diagonal<<<1, kThreads, 0, stream>>>(inner, rank);
  CUDA_CHECK(cudaGetLastError());
  cholesky(blas_, inner, rank, stream);
  CUDA_CHECK(cublasDtrsm(blas_, CUBLAS_SIDE_RIGHT, CUBLAS_FILL_MODE_LOWER, CUBLAS_OP_T,
                         CUBLAS_DIAG_NON_UNIT, width, rank, &one, inner, rank, vectors, width));
}

}  // namespace gnomon::cuda
