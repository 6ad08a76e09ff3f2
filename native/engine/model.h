#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/backend.h"
#include "engine/weights.h"

namespace gnomon {

/// A model on a backend: the forward pass, written once for every device.
/// Used on the engine thread only.
class Model {
 public:
  Model(ModelConfig config, ModelWeights weights, Backend& backend, int64_t max_batch);

  /// Bytes the constructor allocates.
  static int64_t scratch_bytes(const ModelConfig& config, const Backend& backend,
                               int64_t max_batch);

  /// One decode step, for at most max_batch sequences. logits() and greedy_tokens() then speak of
  /// the tokens that follow, one row a sequence.
  void decode(const DecodeStep& step);

  /// Of the last decode or finished prefill: (rows, vocab_size), valid until the next call.
  std::span<const float> logits();
  /// Of the same: the most likely token of every row, the first of equals.
  std::span<const uint32_t> greedy_tokens();

  const ModelConfig& config() const { return config_; }
  Backend& backend() { return backend_; }

 private:
  friend class Prefill;

  /// Rows of a decode step that go through a layer together.
  struct DecodePart {
    DecodeStep step;
    Matrix hidden, query, key, value, last;
  };
  /// The parts of a step, part by part in ordered_.
  std::vector<DecodePart> cut(const DecodeStep& step);
  void begin_layer(int64_t index, const DecodePart& part);
  void end_layer(int64_t index, const DecodePart& part);

  /// qkv (n, query_width + 2 key_width) of hidden (n, hidden_size), up to RoPE. normed as hidden.
  void project(const LayerWeights& layer, Matrix hidden, Matrix normed, Matrix qkv);
  /// Residual attention output projection and MLP of one layer, in place on `hidden`.
  /// attended (n, num_heads * head_dim), hidden (n, hidden_size).
  void finish_layer(const LayerWeights& layer, Matrix attended, Matrix hidden);
  /// Keeps the final norm of these rows (1, hidden_size) for logits() and greedy_tokens().
  void finish(std::span<const Matrix> rows);

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
  std::unique_ptr<Buffer> final_;    // (max_batch, hidden_size)
  Matrix last_;                      // the rows of final_ that count
  struct {
    std::vector<int64_t> from;  // place in the caller's step; empty: last_ is in the caller's order
    std::vector<uint32_t> tokens;
    std::vector<int32_t> positions;
    std::vector<SequenceCache*> caches;
  } ordered_;
  std::vector<float> logits_;
  std::vector<uint32_t> tokens_;
};

/// The first `rows` rows of a matrix.
inline Matrix first_rows(Matrix m, int64_t rows) { return {m.data, rows, m.cols}; }

/// Rows [first, first + rows) of a matrix whose elements have `element_bytes`.
inline Matrix row_range(Matrix m, int64_t first, int64_t rows, int64_t element_bytes) {
  return {static_cast<std::byte*>(m.data) + first * m.cols * element_bytes, rows, m.cols};
}

}  // namespace gnomon
