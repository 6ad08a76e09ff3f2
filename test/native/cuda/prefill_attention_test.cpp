#include "cuda/prefill_attention.h"

#include "cuda/library.h"
#include "engine/backend.h"
#include "test/native/cuda/device.h"
#include "test/native/support/reference_ops.h"
#include "test/native/support/tiny_model.h"

using namespace gnomon;
using namespace gnomon::test;

namespace {

std::unique_ptr<Buffer> filled(Backend& backend, int64_t rows, int64_t cols, uint64_t seed) {
  auto buffer = backend.allocate(rows, cols);
  const auto values = random_elements(rows * cols, seed);
  CUDA_CHECK(cudaDeviceSynchronize());  // allocate clears on the backend's own stream
  CUDA_CHECK(cudaMemcpy(buffer->matrix().data, values.data(), values.size() * sizeof(cuda::Element),
                        cudaMemcpyHostToDevice));
  return buffer;
}

std::vector<double> read(Matrix m) {
  std::vector<cuda::Element> values(m.rows * m.cols);
  CUDA_CHECK(cudaDeviceSynchronize());
  CUDA_CHECK(cudaMemcpy(values.data(), m.data, values.size() * sizeof(cuda::Element),
                        cudaMemcpyDeviceToHost));
  std::vector<double> out;
  for (const cuda::Element value : values) out.push_back(cuda::to_float(value));
  return out;
}

std::vector<float> floats(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

ModelConfig config_of(int64_t head_dim, int64_t kv_heads, int64_t group) {
  ModelConfig config = tiny_config();
  config.head_dim = head_dim;
  config.num_kv_heads = kv_heads;
  config.num_heads = kv_heads * group;
  return config;
}

}  // namespace

TEST_CASE("cuda prefill attention: prompts of any length agree with a double reference") {
  NEEDS_GPU();
  for (const auto& [head_dim, kv_heads, group] :
       {std::tuple{64, 2, 2}, {96, 1, 7}, {128, 2, 4}, {128, 1, 16}}) {
    const ModelConfig config = config_of(head_dim, kv_heads, group);
    const auto backend = cuda::make_backend(config, {});
    for (const int64_t rows : {2, 31, 64, 65, 300}) {
      CAPTURE(head_dim);
      CAPTURE(group);
      CAPTURE(rows);
      const auto query = filled(*backend, rows, config.query_width(), 1);
      const auto key = filled(*backend, rows, config.key_width(), 2);
      const auto value = filled(*backend, rows, config.key_width(), 3);
      const auto out = backend->allocate(rows, config.query_width());
      backend->prefill_attention(query->matrix(), 0, key->matrix(), value->matrix(), out->matrix());
      const auto expected =
          reference_prefill_attention(config, floats(read(query->matrix())), 0, rows,
                                      floats(read(key->matrix())), floats(read(value->matrix())));
      CHECK(relative_error(read(out->matrix()), expected) < tolerance(0.01, 1e-5));
    }
  }
}

TEST_CASE("cuda prefill attention: rows behind a beginning attend as in the whole prompt") {
  NEEDS_GPU();
  for (const auto& [head_dim, kv_heads, group] :
       {std::tuple{64, 2, 2}, {96, 1, 7}, {128, 2, 4}, {128, 1, 16}}) {
    const ModelConfig config = config_of(head_dim, kv_heads, group);
    const auto backend = cuda::make_backend(config, {});
    // The last of them is more than one block.
    for (const auto& [first, rows] :
         {std::pair{1, 2}, {255, 2}, {256, 256}, {300, 33}, {777, 5000}}) {
      CAPTURE(head_dim);
      CAPTURE(group);
      CAPTURE(first);
      CAPTURE(rows);
      const int64_t prompt = first + rows;
      const auto query = filled(*backend, prompt, config.query_width(), 1);
      const auto key = filled(*backend, prompt + 100, config.key_width(), 2);
      const auto value = filled(*backend, prompt + 100, config.key_width(), 3);
      const auto whole = backend->allocate(prompt, config.query_width());
      const auto parts = backend->allocate(prompt, config.query_width());
      backend->prefill_attention(query->matrix(), 0, key->matrix(), value->matrix(),
                                 whole->matrix());
      const auto from = [&, first = first](const std::unique_ptr<Buffer>& buffer) {
        return row_range(buffer->matrix(), first, prompt - first, sizeof(cuda::Element));
      };
      backend->prefill_attention(from(query), first, key->matrix(), value->matrix(), from(parts));
      CHECK(relative_error(read(from(parts)), read(from(whole))) < tolerance(0.005, 1e-5));
    }
  }
}
