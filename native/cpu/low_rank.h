#pragma once
// The low-rank factor of one layer's pre-RoPE keys K (tokens, key_width), all KV heads jointly:
// K ~ factor * basis^T, where basis is the leading eigenvectors of the Gram matrix K^T K. These
// are the right singular vectors of K, found without an SVD of the tall matrix.

#include <vector>

#include "cpu/cpu_backend.h"

namespace gnomon::cpu {

/// K^T K, (key_width, key_width) row-major. Sums of 256 tokens in fp32, these in double.
std::vector<double> gram_matrix(ThreadPool& pool, Matrix keys);

/// The `rank` eigenvectors of the largest eigenvalues of a symmetric matrix (width, width), as
/// columns of (width, rank), orthonormal.
std::vector<double> leading_eigenvectors(const std::vector<double>& symmetric, int64_t width,
                                         int64_t rank);

/// factor (tokens, rank) = the first `tokens` rows of keys (_, key_width) * basis
/// (key_width, rank).
void project(ThreadPool& pool, Matrix keys, int64_t tokens, const std::vector<double>& basis,
             int64_t rank, float* factor);

}  // namespace gnomon::cpu
