#include "cuda/score_chunks.h"

#include <cmath>
#include <numbers>

#include "cuda/summarise_kernels.h"
#include "test/native/cuda/device.h"

using namespace gnomon::cuda;
using namespace gnomon::test;

namespace {

struct Case {
  int head_dim, kv_heads, group, chunk_size, chunks, outliers;
};

void check(const Case& c, uint64_t seed) {
  const int dim = c.head_dim, width = c.kv_heads * dim, tokens = c.chunks * c.chunk_size + 5;
  std::vector<Element> keys = random_elements(static_cast<size_t>(tokens) * width, seed);
  // Some dimensions are far from zero, as those of trained models are.
  for (size_t i = 0; i < keys.size(); ++i) {
    if (i % 11 == 3) keys[i] = to_element(8.0f + to_float(keys[i]));
  }
  const PromptShape prompt{tokens, c.kv_heads, dim, c.chunk_size, c.chunks};
  const int words = (c.chunks + 31) / 32;
  const DeviceVector<Element> device_keys(keys);
  const DeviceVector<float> cosines(c.kv_heads * c.chunks), steps(width);
  const DeviceVector<uint32_t> ranks(c.kv_heads * c.chunks), bitmap(c.kv_heads * words),
      range(2 * width);
  const DeviceVector<int32_t> outliers(std::max(1, c.kv_heads * c.outliers));
  const DeviceVector<uint8_t> landmarks(static_cast<size_t>(c.kv_heads) * c.chunks * dim);
  compare_chunks(prompt, device_keys.data(), cosines.data(), nullptr);
  select_outliers(prompt, cosines.data(), c.outliers, ranks.data(), bitmap.data(), outliers.data(),
                  nullptr);
  make_landmarks(prompt, device_keys.data(), bitmap.data(), range.data(), landmarks.data(),
                 steps.data(), nullptr);

  DecodeShape shape{};
  shape.batch = 1;
  shape.num_kv_heads = c.kv_heads;
  shape.num_heads = c.kv_heads * c.group;
  shape.head_dim = dim;
  shape.chunk_size = c.chunk_size;
  shape.max_chunks = (c.chunks + 9 + 31) / 32 * 32;
  std::vector<HeadView> views(c.kv_heads);
  for (int h = 0; h < c.kv_heads; ++h) {
    views[h].num_chunks = c.chunks;
    views[h].landmarks = landmarks.data() + static_cast<size_t>(h) * c.chunks * dim;
    views[h].landmark_steps = steps.data() + h * dim;
    views[h].outliers = bitmap.data() + h * words;
  }
  const auto query = random_elements(static_cast<size_t>(shape.num_heads) * dim, seed + 1);
  const DeviceVector<HeadView> heads(views);
  const DeviceVector<Element> device_query(query);
  const DeviceVector<float> logits(static_cast<size_t>(shape.num_heads) * shape.max_chunks);
  const DeviceVector<float2> partial(shape.num_heads * score_blocks(shape));
  score_chunks(shape, heads.data(), device_query.data(), {logits.data(), partial.data()}, nullptr);
  CUDA_CHECK(cudaDeviceSynchronize());

  const auto got = logits.read();
  const auto sums = partial.read();
  const auto is_outlier = bitmap.read();
  for (int h = 0; h < shape.num_heads; ++h) {
    const int kv = h / c.group;
    std::vector<double> actual, expected;
    int masked = 0;
    double total = 0;
    for (int chunk = 0; chunk < c.chunks; ++chunk) {
      const float logit = got[static_cast<size_t>(h) * shape.max_chunks + chunk];
      if (is_outlier[kv * words + chunk / 32] >> (chunk % 32) & 1) {
        ++masked;
        CHECK(logit == -INFINITY);
        continue;
      }
      double dot = 0;
      for (int t = 0; t < c.chunk_size; ++t) {
        for (int d = 0; d < dim; ++d) {
          dot +=
              static_cast<double>(to_float(query[h * dim + d])) *
              to_float(keys[static_cast<size_t>(chunk * c.chunk_size + t) * width + kv * dim + d]);
        }
      }
      actual.push_back(logit);
      expected.push_back(dot / c.chunk_size / std::sqrt(dim) * std::numbers::log2e);
      total += std::exp2(static_cast<double>(logit));
    }
    CHECK(masked == c.outliers);
    // Logits are right up to a shift.
    for (auto* values : {&actual, &expected}) {
      double mean = 0;
      for (const double value : *values) mean += value / values->size();
      for (double& value : *values) value -= mean;
    }
    CHECK(relative_error(actual, expected) < 0.02);
    double joined = 0;
    const int used = (c.chunks + kScoreBlockChunks - 1) / kScoreBlockChunks;
    for (int i = 0; i < used; ++i) {
      const float2 part = sums[h * score_blocks(shape) + i];
      if (part.y > 0) joined += part.y * std::exp2(static_cast<double>(part.x));
    }
    CHECK(joined == doctest::Approx(total).epsilon(1e-3));
  }
}

}  // namespace

TEST_CASE("cuda score_chunks: mean keys of every head_dim and query group, outliers left out") {
  NEEDS_GPU();
  uint64_t seed = 10;
  for (const int head_dim : {64, 96, 128}) {
    for (const int group : {1, 2, 4, 7, 8, 16}) {
      CAPTURE(head_dim);
      CAPTURE(group);
      check({head_dim, 2, group, 8, 77, 3}, seed += 2);
      check({head_dim, 1, group, 16, 601, 0}, seed += 2);
    }
  }
  check({128, 8, 4, 8, 1537, 48}, 3);
}
