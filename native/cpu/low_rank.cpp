#include "cpu/low_rank.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <array>

#include "cpu/head_rows.h"
#include "cpu/multiply_rows.h"
#include "engine/error.h"

namespace gnomon::cpu {

namespace {

constexpr int64_t kGramTokens = 256;  // summed in fp32 before they join the double sums
constexpr int64_t kGramRows = 16;     // of the result per task
constexpr int64_t kProjectTokens = 64;

/// Rows [first, first + count) of keys, padded with zeros to whole vectors.
const float* padded_rows(Matrix keys, int64_t first, int64_t count, std::vector<float>& scratch) {
  if (keys.cols == whole_vectors(keys.cols)) return row(keys, first);
  scratch.resize(count * whole_vectors(keys.cols));
  for (int64_t i = 0; i < count; ++i) {
    store_head(row(keys, first + i), keys.cols, scratch.data() + i * whole_vectors(keys.cols));
  }
  return scratch.data();
}

}  // namespace

std::vector<double> gram_matrix(ThreadPool& pool, Matrix keys) {
  const int64_t width = keys.cols;
  const int64_t stride = whole_vectors(width);
  std::vector<double> gram(width * width, 0.0);
  // Tasks own rows of the result, not tokens, so that the order of the sums is always the same.
  const int64_t tasks = (width + kGramRows - 1) / kGramRows;
  pool.parallel_for(tasks, [&](int64_t task, int64_t) {
    const int64_t first = task * kGramRows;
    const int64_t count = std::min(kGramRows, width - first);
    const int64_t columns = stride - first;  // the upper triangle; kGramRows keeps it aligned
    std::vector<float> scratch;
    std::vector<float> sums(count * columns);
    std::array<const float*, kGramRows> rows;
    std::array<float*, kGramRows> out;
    for (int64_t i = 0; i < count; ++i) out[i] = sums.data() + i * columns;
    for (int64_t token = 0; token < keys.rows; token += kGramTokens) {
      const int64_t tokens = std::min(kGramTokens, keys.rows - token);
      const float* block = padded_rows(keys, token, tokens, scratch) + first;
      for (int64_t i = 0; i < count; ++i) rows[i] = block + i;
      multiply_rows({rows.data(), count, stride, tokens, block, stride, columns, out.data()});
      for (int64_t i = 0; i < count; ++i) {
        double* gram_row = gram.data() + (first + i) * width;
        for (int64_t j = first; j < width; ++j) gram_row[j] += out[i][j - first];
      }
    }
  });
  for (int64_t i = 0; i < width; ++i) {
    for (int64_t j = 0; j < i; ++j) gram[i * width + j] = gram[j * width + i];
  }
  return gram;
}

std::vector<double> leading_eigenvectors(const std::vector<double>& symmetric, int64_t width,
                                         int64_t rank) {
  const Eigen::Map<const Eigen::MatrixXd> matrix(symmetric.data(), width, width);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(matrix);
  if (solver.info() != Eigen::Success) {
    throw EngineError("internal", "the keys of a layer have no eigendecomposition");
  }
  const Eigen::MatrixXd& vectors = solver.eigenvectors();  // by ascending eigenvalue
  std::vector<double> basis(width * rank);
  for (int64_t i = 0; i < width; ++i) {
    for (int64_t j = 0; j < rank; ++j) basis[i * rank + j] = vectors(i, width - 1 - j);
  }
  return basis;
}

void project(ThreadPool& pool, Matrix keys, int64_t tokens, const std::vector<double>& basis,
             int64_t rank, float* factor) {
  const int64_t width = keys.cols;
  const int64_t columns = whole_vectors(rank);
  std::vector<float> columns_of(width * columns, 0.0f);
  for (int64_t i = 0; i < width; ++i) {
    for (int64_t j = 0; j < rank; ++j) {
      columns_of[i * columns + j] = static_cast<float>(basis[i * rank + j]);
    }
  }
  pool.parallel_for((tokens + kProjectTokens - 1) / kProjectTokens, [&](int64_t task, int64_t) {
    const int64_t first = task * kProjectTokens;
    const int64_t count = std::min(kProjectTokens, tokens - first);
    std::vector<float> products(count * columns);
    std::array<const float*, kProjectTokens> rows;
    std::array<float*, kProjectTokens> out;
    for (int64_t i = 0; i < count; ++i) {
      rows[i] = row(keys, first + i);
      out[i] = products.data() + i * columns;
    }
    multiply_rows({rows.data(), count, 1, width, columns_of.data(), columns, columns, out.data()});
    for (int64_t i = 0; i < count; ++i) std::copy_n(out[i], rank, factor + (first + i) * rank);
  });
}

}  // namespace gnomon::cpu
