#pragma once
#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/memory.h"

namespace gnomon::cuda {

/// Orthonormal vectors that span, nearly, the leading eigenvectors of a Gram matrix K^T K, which
/// are the leading right singular vectors of K (paper, algorithm 1). By subspace iteration with
/// Cholesky QR in fp64: matrix products and triangular solves, where an eigensolver reduces the
/// matrix column by column. What is lost against the best subspace of the same rank is at most a
/// few percent of the energy outside it (leading_subspace_test.cpp prints it).
class LeadingSubspace {
 public:
  /// For matrices (width, width).
  explicit LeadingSubspace(int64_t width);
  ~LeadingSubspace();
  LeadingSubspace(const LeadingSubspace&) = delete;
  LeadingSubspace& operator=(const LeadingSubspace&) = delete;

  /// (rank, width), one vector a row, until the next call. gram (width, width) is symmetric. Where
  /// its rank is lower than `rank`, the vectors beyond it are orthogonal to what it spans, and no
  /// longer than 1.
  const double* find(const float* gram, int64_t rank, cudaStream_t stream);

 private:
  void reserve(int64_t rank, cudaStream_t stream);
  void orthonormalise(double* vectors, int rank, cudaStream_t stream);

  int64_t width_;
  int64_t rank_capacity_ = 0;
  cublasHandle_t blas_ = nullptr;
  DeviceBlock blas_workspace_, gram_;   // gram: (width, width)
  DeviceBlock start_, vectors_, next_;  // (rank_capacity, width)
  DeviceBlock inner_;                   // (rank_capacity, rank_capacity)
};

}  // namespace gnomon::cuda
