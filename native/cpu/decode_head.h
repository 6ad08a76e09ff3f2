#pragma once
#include <cstdint>
#include <vector>

#include "cpu/attend.h"
#include "cpu/cpu_backend.h"
#include "cpu/reconstruct_keys.h"
#include "cpu/sequence_cache.h"

namespace gnomon::cpu {

/// One decode step of one (sequence, KV head) in stages, each of so many independent parts that
/// any number of threads is busy with a single sequence. How a stage is divided depends on the
/// sequence alone, so the result is the same whichever thread does what.
class DecodeHead {
 public:
  /// query and out: (group, head_dim) of this KV head.
  DecodeHead(Context& context, CpuCache& cache, int64_t layer, int64_t kv_head, const float* query,
             float* out);

  /// Landmark logits. ShadowKV only.
  int64_t score_parts() const;
  void score(int64_t part);
  /// Chooses chunks and slots, and lays out what is attended.
  void select();
  /// Keys of chunks that no slot held.
  int64_t reconstruct_parts() const;
  void reconstruct(int64_t part);
  /// Attention over all segments.
  int64_t attend_parts() const { return static_cast<int64_t>(first_run_.size()) - 1; }
  void attend(int64_t part);
  void merge();

  int64_t selected_chunks() const { return static_cast<int64_t>(selected_.size()); }
  int64_t hit_chunks() const { return selected_chunks() - static_cast<int64_t>(misses_.size()); }

 private:
  void select_slots();
  void add_run(const float* keys, const float* values, int64_t tokens);
  void divide_runs();
  PartialAttention partial(int64_t part);

  Context* context_;
  CpuCache* cache_;
  int64_t layer_;
  int64_t kv_head_;
  int64_t group_;
  float* out_;
  std::vector<float> query_;       // (group, head_stride), divided by sqrt(head_dim)
  std::vector<float> logits_;      // (group, landmarks)
  std::vector<int32_t> selected_;  // (num_selected_chunks) candidates, ascending
  std::vector<int32_t> slots_;     // (num_selected_chunks)
  std::vector<Miss> misses_;
  std::vector<Run> runs_;
  std::vector<size_t> first_run_;  // of every attention part, and the end
  std::vector<float> partials_;    // (parts, group, head_stride + 2)
};

}  // namespace gnomon::cpu
