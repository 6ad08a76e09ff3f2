#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/backend.h"
#include "engine/weights.h"

namespace gnomon {

/// A Llama model on a backend: the forward pass, written once for every device.
/// Used on the engine thread only.
class Model {
 public:
  Model(ModelConfig config, ModelWeights weights, Backend& backend, int64_t max_batch);

  /// One decode step: row i feeds tokens[i] at positions[i] to caches[i]. Returns logits
  /// (n, vocab_size), valid until the next call.
  std::span<const float> decode(std::span<const uint32_t> tokens,
                                std::span<const int32_t> positions,
                                std::span<SequenceCache* const> caches);

  const ModelConfig& config() const { return config_; }
  Backend& backend() { return backend_; }

 private:
  friend class Prefill;

  /// Residual attention output projection and MLP of one layer, in place on `hidden`.
  /// attended (n, num_heads * head_dim), hidden (n, hidden_size).
  void finish_layer(const LayerWeights& layer, Matrix attended, Matrix hidden);
  /// Final norm and LM head of hidden (n, hidden_size) → logits_ (n, vocab_size) on the host.
  std::span<const float> read_logits(Matrix hidden);

  ModelConfig config_;
  ModelWeights weights_;
  Backend& backend_;
  // Scratch for `rows_` rows: decode batches and prefill blocks are no larger.
  int64_t rows_;
  std::unique_ptr<Buffer> hidden_;   // (max_batch, hidden_size)
  std::unique_ptr<Buffer> normed_;   // (rows, hidden_size)
  std::unique_ptr<Buffer> qkv_;      // (rows, query_width + 2 key_width)
  std::unique_ptr<Buffer> query_;    // (max_batch, query_width)
  std::unique_ptr<Buffer> key_;      // (max_batch, key_width)
  std::unique_ptr<Buffer> value_;    // (max_batch, key_width)
  std::unique_ptr<Buffer> gate_up_;  // (rows, 2 intermediate_size)
  std::unique_ptr<Buffer> mlp_;      // (rows, intermediate_size)
  std::unique_ptr<Buffer> logits_;   // (max_batch, vocab_size)
  std::vector<float> host_logits_;
};

/// The first `rows` rows of a matrix.
inline Matrix first_rows(Matrix m, int64_t rows) { return {m.data, rows, m.cols}; }

/// Rows [first, first + rows) of a matrix whose elements have `element_bytes`.
inline Matrix row_range(Matrix m, int64_t first, int64_t rows, int64_t element_bytes) {
  return {static_cast<std::byte*>(m.data) + first * m.cols * element_bytes, rows, m.cols};
}

}  // namespace gnomon
