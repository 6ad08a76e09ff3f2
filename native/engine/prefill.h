#pragma once
#include <cstdint>
#include <memory>
#include <span>

#include "engine/model.h"

namespace gnomon {

/// The prefill of one prompt, cut into steps so that the engine can decode other sequences and
/// see a cancel in between. Works layer by layer over the whole prompt: only one layer's keys and
/// values exist at full length at a time.
class Prefill {
 public:
  /// tokens must outlive the prefill.
  Prefill(Model& model, std::span<const uint32_t> tokens, SequenceCache& cache);

  /// Bytes the constructor allocates for a prompt of this length.
  static int64_t workspace_bytes(const ModelConfig& config, const Backend& backend,
                                 int64_t prompt_tokens);

  /// Does one block of rows of one layer. Returns true once the whole prompt is done; the model's
  /// logits() then are those of the last prompt token.
  bool step();

  /// Prompt tokens done, counted by the floating-point work behind them.
  int64_t tokens_done() const;

 private:
  enum class Stage { project, attend, finish };

  void project_block(int64_t first, int64_t rows);
  void attend_block(int64_t first, int64_t rows);
  void finish_block(int64_t first, int64_t rows);
  void end_stage();
  Matrix attended() const { return (attended_ ? attended_ : query_)->matrix(); }
  /// The last layer's output matters for the last row only.
  int64_t first_row_out() const;
  double work(Stage stage, int64_t first, int64_t rows) const;

  Model& model_;
  std::span<const uint32_t> tokens_;
  SequenceCache& cache_;
  std::unique_ptr<Buffer> hidden_;        // (prompt, hidden_size)
  std::unique_ptr<Buffer> query_;         // (prompt, query_width)
  std::unique_ptr<Buffer> attended_;      // (prompt, query_width), null if it may be query_
  std::unique_ptr<Buffer> key_pre_rope_;  // (prompt, key_width), null if the cache is dense
  std::unique_ptr<Buffer> key_;           // (prompt, key_width)
  std::unique_ptr<Buffer> value_;         // (prompt, key_width)
  Stage stage_ = Stage::project;
  int64_t layer_ = 0;
  int64_t next_row_ = 0;
  double work_done_ = 0;
  double work_total_ = 0;
};

}  // namespace gnomon
