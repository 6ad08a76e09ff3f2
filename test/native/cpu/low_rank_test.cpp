#include "cpu/low_rank.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

#include "cpu/reconstruct_keys.h"
#include "test/native/support/cache_case.h"
#include "test/native/support/every_target.h"

namespace gnomon::cpu {
namespace {

/// factor * basis^T, (tokens, width)
std::vector<double> product(const std::vector<float>& factor, const std::vector<double>& basis,
                            int64_t width, int64_t rank) {
  const int64_t tokens = static_cast<int64_t>(factor.size()) / rank;
  std::vector<double> out(tokens * width, 0.0);
  for (int64_t i = 0; i < tokens; ++i) {
    for (int64_t j = 0; j < width; ++j) {
      for (int64_t k = 0; k < rank; ++k) {
        out[i * width + j] += factor[i * rank + k] * basis[j * rank + k];
      }
    }
  }
  return out;
}

TEST_CASE("the factor is the best approximation of its rank") {
  for (const auto& [width, tokens, rank] :
       {std::array<int64_t, 3>{40, 300, 7}, {64, 513, 64}, {128, 700, 33}, {24, 5, 9}}) {
    CAPTURE(width);
    test::CacheCase shape;
    shape.head_dim = width;
    shape.num_kv_heads = 1;
    test::RandomSequence sequence(shape.config(), tokens, 11);
    std::vector<float>& keys = sequence.prompt(0).key_pre_rope;
    const std::vector<double> expected = test::best_approximation(keys, width, rank);
    test::on_every_target([&] {
      ThreadPool pool(2);
      const Matrix matrix = test::as_matrix(keys, width);
      const auto basis = leading_eigenvectors(gram_matrix(pool, matrix), width, rank);
      std::vector<float> factor(tokens * rank);
      project(pool, matrix, tokens, basis, rank, factor.data());
      const std::vector<double> actual = product(factor, basis, width, rank);
      double difference = 0, size = 0;
      for (size_t i = 0; i < actual.size(); ++i) {
        difference += std::pow(actual[i] - expected[i], 2);
        size += std::pow(expected[i], 2);
      }
      CHECK(std::sqrt(difference / size) < 1e-4);
    });
  }
}

TEST_CASE("reconstructed keys are rotated at their own positions") {
  for (const auto& [head_dim, rank, chunk_size] :
       {std::array<int64_t, 3>{32, 5, 1}, {64, 31, 8}, {80, 17, 3}, {128, 64, 16}, {20, 6, 5}}) {
    CAPTURE(head_dim);
    const int64_t stride = (head_dim + 15) / 16 * 16, chunks = 30;
    const int32_t slots = 14;
    test::CacheCase shape;
    shape.head_dim = head_dim;
    const ModelConfig config = shape.config();
    test::RandomSequence random(config, 1, 3);
    const std::vector<float> factor = random.normals(chunks * chunk_size * rank);
    std::vector<float> basis = random.normals(rank * stride);
    RopeTable rope(config);
    rope.reserve(chunks * chunk_size);
    std::vector<Miss> misses;
    for (int32_t i = 0; i < slots; ++i) misses.push_back({(i * 7 + 3) % 30, slots - 1 - i});
    test::on_every_target([&] {
      std::vector<float> keys(slots * chunk_size * stride);
      reconstruct_keys({factor.data(), basis.data(), rank, stride, chunk_size}, misses, rope,
                       keys.data());
      for (const Miss& miss : misses) {
        for (int64_t i = 0; i < chunk_size; ++i) {
          const int64_t position = miss.chunk * chunk_size + i;
          std::vector<double> key(head_dim, 0.0);
          for (int64_t k = 0; k < rank; ++k) {
            for (int64_t j = 0; j < head_dim; ++j) {
              key[j] += static_cast<double>(factor[position * rank + k]) * basis[k * stride + j];
            }
          }
          test::rotate_head(config, position, key.data());
          const float* actual = keys.data() + (miss.slot * chunk_size + i) * stride;
          for (int64_t j = 0; j < head_dim; ++j) CHECK(std::abs(actual[j] - key[j]) < 1e-4);
        }
      }
    });
  }
}

}  // namespace
}  // namespace gnomon::cpu
