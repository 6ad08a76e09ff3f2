#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "engine/model.h"

namespace gnomon {

/// One prompt of a prefill, and where its state goes.
struct PrefillMember {
  std::span<const uint32_t> tokens;
  SequenceCache* cache;
};

/// The prefill of one prompt, or of several that begin with the same tokens, cut into steps so that
/// the engine can decode other sequences and see a cancel in between. Works layer by layer over
/// whole prompts: only one layer's keys and values exist at full length at a time. Of several
/// prompts, the layer does the shared tokens once; then, prompt by prompt, the rest of each comes
/// behind them, attends to both and is summarised with them, as if it were alone.
class Prefill {
 public:
  /// The first `shared` tokens of all members are the same, and none consists of them alone. Their
  /// caches agree in first_position. At most as many members as the model's max_batch.
  Prefill(Model& model, std::span<const PrefillMember> members, int64_t shared);
  Prefill(Model& model, std::span<const uint32_t> tokens, SequenceCache& cache);

  /// Bytes that the constructor allocates for prompts of these lengths.
  static int64_t workspace_bytes(const ModelConfig& config, const Backend& backend,
                                 std::span<const int64_t> prompts, int64_t shared);
  static int64_t workspace_bytes(const ModelConfig& config, const Backend& backend,
                                 int64_t prompt_tokens);

  /// Does one block of rows of one layer. Returns true once all is done; the model's logits() then
  /// are those of the last token of every member that was not dropped, in their order.
  bool step();

  /// From now on does nothing for the member with this cache. Not for the last one left.
  void drop(const SequenceCache& cache);

  /// First tokens that all members have, computed once.
  int64_t shared_tokens() const { return segments_[0].cache ? 0 : segments_[0].rows.count; }

  /// How much of it is done, from 0 to 1, counted by the floating-point work behind it.
  double share_done() const;

 private:
  enum class Stage { project, attend, finish };

  /// Tokens that follow each other: `row` is their place in hidden_ and query_, `position` that in
  /// their prompt, and so in the keys and values.
  struct Rows {
    int64_t row;
    int64_t position;
    int64_t count;
  };
  /// The shared tokens, or what a member has besides.
  struct Segment {
    Rows rows;
    SequenceCache* cache;  // null for the shared tokens
    bool dropped = false;
  };

  bool is_last_layer(int64_t layer) const { return layer + 1 == model_.config().num_layers; }
  /// What of a segment's output a layer needs: in the last one, that of each member's last token.
  Rows rows_out(const Segment& segment, int64_t layer) const;
  double work(Stage stage, const Rows& rows) const;
  double work(const Segment& segment, int64_t layer) const;

  void project_block(const Rows& rows);
  void attend_block(const Rows& rows);
  void finish_block(const Rows& rows);
  /// Goes on to the next stage that has something to do.
  void advance();
  void begin_segment(size_t segment);
  void begin_finish();
  void finish_layers();
  Matrix rows_of(const std::unique_ptr<Buffer>& buffer, int64_t first, int64_t count) const;
  const std::unique_ptr<Buffer>& attended() const { return attended_ ? attended_ : query_; }

  Model& model_;
  int64_t first_position_;
  std::vector<Segment> segments_;         // the shared tokens first, if there are any
  std::unique_ptr<Buffer> hidden_;        // (rows of all segments, hidden_size)
  std::unique_ptr<Buffer> query_;         // (rows of all segments, query_width)
  std::unique_ptr<Buffer> attended_;      // likewise, null if it may be query_
  std::unique_ptr<Buffer> key_pre_rope_;  // (longest prompt, key_width), null if all are dense
  std::unique_ptr<Buffer> key_;           // (longest prompt, key_width)
  std::unique_ptr<Buffer> value_;         // (longest prompt, key_width)
  Stage stage_ = Stage::project;
  int64_t layer_ = 0;
  size_t segment_ = 0;     // at work, up to the finish
  std::deque<Rows> todo_;  // of the stage
  double work_done_ = 0;
  double work_total_ = 0;
};

}  // namespace gnomon
