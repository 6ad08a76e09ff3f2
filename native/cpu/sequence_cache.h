#pragma once
// The keys and values of one sequence, as the CPU keeps them: rows of head_stride floats
// (head_rows.h), KV head by KV head.

#include <cstdint>
#include <vector>

#include "cpu/landmarks.h"
#include "cpu/memory_block.h"
#include "cpu/slot_table.h"
#include "engine/backend.h"

namespace gnomon::cpu {

/// One KV head of one layer of a dense sequence.
struct DenseHead {
  float* keys = nullptr;    // (prompt_tokens + max_new_tokens, head_stride)
  float* values = nullptr;  // (prompt_tokens + max_new_tokens, head_stride)
};

/// One KV head of one layer of a ShadowKV sequence. A candidate is a chunk that is not an outlier;
/// candidates are counted in the order of their chunks.
struct SparseHead {
  float* basis = nullptr;             // (rank, head_stride): keys = factor * basis
  float* landmarks = nullptr;         // (ceil(num_candidates / 16), head_dim, 16)
  int32_t* candidates = nullptr;      // (num_candidates) chunks, ascending
  int32_t* outliers = nullptr;        // (num_outlier_chunks) chunks, ascending
  float* outlier_keys = nullptr;      // (num_outlier_chunks, chunk_size, head_stride)
  float* local_keys = nullptr;        // (local_tokens, head_stride)
  float* slot_keys = nullptr;         // (num_slots, chunk_size, head_stride)
  float* generated_keys = nullptr;    // (max_new_tokens, head_stride)
  float* generated_values = nullptr;  // (max_new_tokens, head_stride)
  float* values = nullptr;            // (prompt_tokens, head_stride), counted as host bytes
  int32_t* slot_storage = nullptr;    // of `slots`
  SlotTable slots;
};

class CpuCache final : public SequenceCache {
 public:
  /// Throws out_of_memory.
  CpuCache(const ModelConfig& config, const CacheGeometry& geometry);
  /// Exactly what the constructor allocates.
  static CacheBytes bytes(const ModelConfig& config, const CacheGeometry& geometry);

  const CacheGeometry& geometry() const override { return geometry_; }
  CacheStats stats() const override { return stats_; }

  int64_t head_dim() const { return head_dim_; }
  int64_t head_stride() const { return head_stride_; }
  int64_t num_candidates() const { return geometry_.num_chunks - geometry_.num_outlier_chunks; }

  DenseHead& dense(int64_t layer, int64_t kv_head) { return dense_[at(layer, kv_head)]; }
  SparseHead& sparse(int64_t layer, int64_t kv_head) { return sparse_[at(layer, kv_head)]; }
  /// (context_tokens, rank): the pre-RoPE keys of all KV heads, projected. ShadowKV only.
  float* factor(int64_t layer) { return factors_[layer]; }

  /// Generated tokens of one layer stored so far.
  int64_t generated_tokens(int64_t layer) const { return generated_[layer]; }
  /// Stores key and value (num_kv_heads * head_dim) of the next generated token.
  /// Throws internal where there is no room: tokens are never dropped.
  void append(int64_t layer, const float* key, const float* value);

  void count_selection(int64_t selected, int64_t hits);

 private:
  struct Arenas;
  CpuCache(const ModelConfig& config, const CacheGeometry& geometry, Arenas& measured);
  void lay_out(int64_t num_layers, Arenas& arenas);
  int64_t at(int64_t layer, int64_t kv_head) const { return layer * num_kv_heads_ + kv_head; }

  CacheGeometry geometry_;
  int64_t num_kv_heads_;
  int64_t head_dim_;
  int64_t head_stride_;
  MemoryBlock device_;
  MemoryBlock host_;
  std::vector<DenseHead> dense_;    // (num_layers, num_kv_heads), empty for ShadowKV
  std::vector<SparseHead> sparse_;  // (num_layers, num_kv_heads), empty for dense
  std::vector<float*> factors_;     // (num_layers), empty for dense
  std::vector<int64_t> generated_;  // (num_layers)
  CacheStats stats_;
};

}  // namespace gnomon::cpu
