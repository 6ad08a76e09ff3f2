#include "cuda/cholesky.h"

#include <cmath>
#include <random>
#include <vector>

#include "test/native/cuda/device.h"

using namespace gnomon::cuda;
using namespace gnomon::test;

namespace {

/// B B^T + 1 of a random B, column-major.
std::vector<double> positive_definite(int n, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> b(n * n), matrix(n * n);
  for (double& value : b) value = normal(random);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      double sum = i == j ? 1 : 0;
      for (int k = 0; k < n; ++k) sum += b[i * n + k] * b[j * n + k];
      matrix[j * n + i] = sum;
    }
  }
  return matrix;
}

/// The lower triangle's factor, the rest left as it was.
std::vector<double> factor(const std::vector<double>& matrix, int n) {
  const DeviceVector<double> device(matrix);
  cublasHandle_t blas = nullptr;
  CUDA_CHECK(cublasCreate(&blas));
  cholesky(blas, device.data(), n, nullptr);
  std::vector<double> got = device.read();
  cublasDestroy(blas);
  return got;
}

}  // namespace

TEST_CASE("cuda cholesky: the factor times its transpose is the matrix, the rest is untouched") {
  NEEDS_GPU();
  for (const int n : {1, 8, 63, 64, 65, 127, 160, 200, 333}) {
    CAPTURE(n);
    const std::vector<double> matrix = positive_definite(n, n);
    std::vector<double> poisoned = matrix;
    for (int j = 0; j < n; ++j) {
      for (int i = 0; i < j; ++i) poisoned[j * n + i] = NAN;
    }
    const std::vector<double> lower = factor(poisoned, n);
    double worst = 0;
    bool untouched = true;
    for (int j = 0; j < n; ++j) {
      for (int i = 0; i < n; ++i) {
        if (i < j) {
          untouched = untouched && std::isnan(lower[j * n + i]);
          continue;
        }
        double sum = 0;
        for (int k = 0; k <= j; ++k) sum += lower[k * n + i] * lower[k * n + j];
        worst = std::max(worst, std::abs(sum - matrix[j * n + i]) / n);
      }
    }
    CHECK(worst < 1e-12);
    CHECK(untouched);
  }
}

TEST_CASE("cuda cholesky: a column without a positive pivot is dropped, the others stand") {
  NEEDS_GPU();
  // Ones and a zero on the diagonal, the zero in the second block.
  constexpr int n = 100, zero = 70;
  std::vector<double> matrix(n * n, 0);
  for (int i = 0; i < n; ++i) matrix[i * n + i] = i == zero ? 0 : 1;
  const std::vector<double> lower = factor(matrix, n);
  for (int i = 0; i < n; ++i) CHECK((lower[i * n + i] > 1e100) == (i == zero));
  for (const double value : lower) CHECK(std::isfinite(value));
}
