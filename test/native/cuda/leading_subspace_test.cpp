#include "cuda/leading_subspace.h"

#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "test/native/cuda/device.h"

using namespace gnomon::cuda;
using namespace gnomon::test;

namespace {

/// A symmetric matrix of these eigenvalues: their diagonal, reflected by random hyperplanes.
std::vector<double> with_eigenvalues(const std::vector<double>& eigenvalues, uint64_t seed) {
  const size_t n = eigenvalues.size();
  std::vector<double> matrix(n * n, 0), normal(n), image(n);
  for (size_t i = 0; i < n; ++i) matrix[i * n + i] = eigenvalues[i];
  std::mt19937_64 random(seed);
  std::normal_distribution<double> draw;
  for (int reflection = 0; reflection < 4; ++reflection) {
    for (double& x : normal) x = draw(random);
    const double squares = std::inner_product(normal.begin(), normal.end(), normal.begin(), 0.0);
    for (double& x : normal) x /= std::sqrt(squares);
    // M <- (I - 2 u u^T) M (I - 2 u u^T), with w = M u
    for (size_t i = 0; i < n; ++i) {
      image[i] = std::inner_product(normal.begin(), normal.end(), &matrix[i * n], 0.0);
    }
    const double inner = std::inner_product(normal.begin(), normal.end(), image.begin(), 0.0);
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) {
        matrix[i * n + j] +=
            4 * inner * normal[i] * normal[j] - 2 * normal[i] * image[j] - 2 * image[i] * normal[j];
      }
    }
  }
  return matrix;
}

struct Found {
  double outside;      // energy that the vectors miss
  double longest;      // length of a vector
  double orthonormal;  // largest difference of V V^T from the identity
};

std::vector<double> find(LeadingSubspace& subspace, const std::vector<double>& matrix,
                         int64_t rank) {
  const DeviceVector<float> gram(std::vector<float>(matrix.begin(), matrix.end()));
  const double* vectors = subspace.find(gram.data(), rank, nullptr);
  std::vector<double> rows(rank * static_cast<int64_t>(std::sqrt(matrix.size())));
  CUDA_CHECK(
      cudaMemcpy(rows.data(), vectors, rows.size() * sizeof(double), cudaMemcpyDeviceToHost));
  return rows;
}

Found judge(const std::vector<double>& matrix, const std::vector<double>& rows, int64_t rank) {
  const int64_t n = static_cast<int64_t>(rows.size()) / rank;
  Found found{};
  for (int64_t i = 0; i < n; ++i) found.outside += matrix[i * n + i];
  for (int64_t r = 0; r < rank; ++r) {
    const double* vector = &rows[r * n];
    for (int64_t i = 0; i < n; ++i) {
      found.outside -= vector[i] * std::inner_product(vector, vector + n, &matrix[i * n], 0.0);
    }
    for (int64_t s = 0; s <= r; ++s) {
      const double inner = std::inner_product(vector, vector + n, &rows[s * n], 0.0);
      if (s == r) found.longest = std::max(found.longest, std::sqrt(inner));
      found.orthonormal = std::max(found.orthonormal, std::abs(inner - (s == r)));
    }
  }
  return found;
}

}  // namespace

TEST_CASE("cuda leading_subspace: misses hardly more energy than the best of its rank") {
  NEEDS_GPU();
  struct Case {
    int64_t width, rank;
    double decay;  // singular values fall as i^-decay
  };
  for (const Case c : {Case{128, 96, 0.5}, Case{128, 96, 1.5}, Case{256, 160, 1}, Case{192, 40, 1},
                       Case{512, 160, 0.7}, Case{1024, 160, 0.5}, Case{1024, 160, 1.5}}) {
    CAPTURE(c.width);
    CAPTURE(c.rank);
    CAPTURE(c.decay);
    std::vector<double> eigenvalues(c.width);
    double best = 0, total = 0;
    for (int64_t i = 0; i < c.width; ++i) {
      eigenvalues[i] = std::pow(i + 1.0, -2 * c.decay);
      total += eigenvalues[i];
      if (i >= c.rank) best += eigenvalues[i];
    }
    const std::vector<double> matrix = with_eigenvalues(eigenvalues, c.width + c.rank);
    LeadingSubspace subspace(c.width);
    const std::vector<double> rows = find(subspace, matrix, c.rank);
    const Found found = judge(matrix, rows, c.rank);
    MESSAGE(c.width << " to " << c.rank << ", decay " << c.decay << ": missed / best "
                    << found.outside / best);
    CHECK(found.outside < 1.06 * best + 1e-6 * total);  // the matrix is rounded to fp32
    CHECK(found.orthonormal < 1e-6);
    CHECK(find(subspace, matrix, c.rank) == rows);
  }
}

TEST_CASE("cuda leading_subspace: matrices of lower rank, of no energy, and all of the space") {
  NEEDS_GPU();
  LeadingSubspace subspace(128);
  std::vector<double> eigenvalues(128, 0.0);
  CHECK(judge(with_eigenvalues(eigenvalues, 1),
              find(subspace, with_eigenvalues(eigenvalues, 1), 64), 64)
            .longest < 1 + 1e-9);
  for (int i = 0; i < 20; ++i) eigenvalues[i] = std::exp(-i);
  const std::vector<double> low = with_eigenvalues(eigenvalues, 2);
  const Found found = judge(low, find(subspace, low, 64), 64);
  CHECK(std::abs(found.outside) < 1e-6);
  CHECK(found.longest < 1 + 1e-9);
  for (double& value : eigenvalues) value = 1;
  const std::vector<double> whole = with_eigenvalues(eigenvalues, 3);
  const Found all = judge(whole, find(subspace, whole, 128), 128);
  CHECK(std::abs(all.outside) < 1e-6 * 128);
  CHECK(all.orthonormal < 1e-9);
}
