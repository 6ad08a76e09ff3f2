#include <algorithm>
#include <memory>
#include <string>

#include "cpu/available_memory.h"
#include "cpu/cpu_backend.h"
#include "cpu/decode_attention.h"
#include "cpu/embed.h"
#include "cpu/linear.h"
#include "cpu/memory_block.h"
#include "cpu/prefill_attention.h"
#include "cpu/rms_norm.h"
#include "cpu/sequence_cache.h"
#include "cpu/silu_multiply.h"
#include "cpu/split_and_rotate.h"
#include "cpu/summarise.h"
#include "cpu/weights.h"
#include "engine/error.h"

namespace gnomon {

namespace cpu {

namespace {

struct CpuBuffer final : Buffer {
  CpuBuffer(int64_t rows, int64_t cols)
      : rows(rows), cols(cols), values(rows * cols * sizeof(float)) {}
  Matrix matrix() const override { return {values.floats(), rows, cols}; }

  int64_t rows;
  int64_t cols;
  MemoryBlock values;
};

const LinearWeight& linear_weight(const Weight& w) { return static_cast<const LinearWeight&>(w); }
const TableWeight& table_weight(const Weight& w) { return static_cast<const TableWeight&>(w); }

class CpuBackend final : public Backend {
 public:
  CpuBackend(const ModelConfig& config, const BackendOptions& options)
      : config_(config),
        pool_(options.threads),
        rope_(config),
        context_{config_, pool_, rope_},
        capacity_bytes_(options.device_bytes > 0 ? options.device_bytes
                                                 : available_memory_bytes() / 4 * 3) {}

  // Values live in the same memory as everything else: one total, of which both kinds are taken.
  CacheBytes capacity() const override { return {capacity_bytes_, capacity_bytes_}; }
  bool unified_memory() const override { return true; }
  int64_t element_bytes() const override { return sizeof(float); }

  std::unique_ptr<Buffer> allocate(int64_t rows, int64_t cols) override {
    return std::make_unique<CpuBuffer>(rows, cols);
  }
  std::unique_ptr<SequenceCache> make_cache(const CacheGeometry& geometry) override {
    return std::make_unique<CpuCache>(config_, geometry);
  }
  CacheBytes cache_bytes(const CacheGeometry& geometry) const override {
    return CpuCache::bytes(config_, geometry);
  }

  std::unique_ptr<Weight> load_linear(std::span<const HostTensor> weights,
                                      std::span<const HostTensor> biases) override {
    return cpu::load_linear(pool_, weights, biases);
  }
  std::unique_ptr<Weight> load_embedding(const HostTensor& table) override {
    return load_table(pool_, table);
  }
  std::unique_ptr<Weight> load_norm(const HostTensor& gain) override {
    return load_table(pool_, gain);
  }

  void embed(std::span<const uint32_t> tokens, const Weight& table, Matrix out) override {
    cpu::embed(tokens, table_weight(table), out);
  }
  void rms_norm(Matrix x, const Weight& gain, double eps, Matrix out) override {
    cpu::rms_norm(context_, x, table_weight(gain), eps, out);
  }
  void linear(Matrix x, const Weight& weight, Matrix out) override {
    cpu::linear(context_, x, linear_weight(weight), out);
  }
  void linear_add(Matrix x, const Weight& weight, Matrix out) override {
    cpu::linear_add(context_, x, linear_weight(weight), out);
  }
  void silu_multiply(Matrix gate_up, Matrix out) override {
    cpu::silu_multiply(context_, gate_up, out);
  }
  void norm_heads(Matrix qkv, const Weight& query_gain, const Weight& key_gain,
                  double eps) override {
    cpu::norm_heads(context_, qkv, table_weight(query_gain), table_weight(key_gain), eps);
  }
  void split_and_rotate(Matrix qkv, std::span<const int32_t> positions, Matrix query,
                        Matrix key_pre_rope, Matrix key, Matrix value) override {
    cpu::split_and_rotate(context_, qkv, positions, query, key_pre_rope, key, value);
  }

  void prefill_attention(Matrix query, int64_t first, Matrix key, Matrix value,
                         Matrix out) override {
    cpu::prefill_attention(context_, query, first, key, value, out);
  }
  void summarise(int64_t layer, Matrix key_pre_rope, Matrix key, Matrix value,
                 SequenceCache& cache) override {
    cpu::summarise(context_, layer, key_pre_rope, key, value, static_cast<CpuCache&>(cache));
  }
  void decode_attention(int64_t layer, Matrix query, Matrix key, Matrix value,
                        std::span<SequenceCache* const> caches, Matrix out) override {
    cpu::decode_attention(context_, layer, query, key, value, caches, out);
  }

  void logits(Matrix x, const Weight& lm_head, std::span<float> out) override {
    linear(x, lm_head, {out.data(), x.rows, config_.vocab_size});
  }
  void greedy_tokens(Matrix x, const Weight& lm_head, std::span<uint32_t> out) override {
    const int64_t vocab = config_.vocab_size;
    logits_.resize(x.rows * vocab);
    logits(x, lm_head, logits_);
    for (int64_t i = 0; i < x.rows; ++i) {
      const auto row = std::span(logits_).subspan(i * vocab, vocab);
      out[i] = static_cast<uint32_t>(std::ranges::max_element(row) - row.begin());
    }
  }

 private:
  const ModelConfig config_;
  ThreadPool pool_;
  RopeTable rope_;
  Context context_;
  int64_t capacity_bytes_;
  std::vector<float> logits_;  // of the last greedy_tokens
};

}  // namespace

}  // namespace cpu

std::unique_ptr<Backend> make_cpu_backend(const ModelConfig& config,
                                          const BackendOptions& options) {
  if (options.dtype.value_or(DType::f32) != DType::f32) {
    throw EngineError("invalid_options", "dtype must be float32 on a CPU, or auto");
  }
  return std::make_unique<cpu::CpuBackend>(config, options);
}

}  // namespace gnomon
