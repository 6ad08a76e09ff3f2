#pragma once
// The keys and values of one sequence on the GPU: one device block and one pinned host block, cut
// into the arrays that HeadView points to.

#include <cstdint>
#include <vector>

#include "cuda/head_view.h"
#include "cuda/memory.h"
#include "engine/backend.h"

namespace gnomon::cuda {

/// What a sequence keeps of one layer besides its HeadViews, for summarise to fill. All heads of a
/// kind lie behind each other.
struct LayerStorage {
  Element* exact_keys = nullptr;    // (num_kv_heads, exact capacity, head_dim)
  Element* exact_values = nullptr;  // (num_kv_heads, exact capacity, head_dim)
  uint8_t* landmarks = nullptr;     // (num_kv_heads, num_chunks, head_dim)
  float* landmark_steps = nullptr;  // (num_kv_heads, head_dim)
  uint32_t* outliers = nullptr;     // (num_kv_heads, ceil(num_chunks / 32))
  Element* factor = nullptr;        // (context_tokens, rank)
  Element* basis = nullptr;         // (num_kv_heads, rank, head_dim)
  Element* values = nullptr;        // (num_kv_heads, context_tokens, head_dim)
};

class CudaCache final : public SequenceCache {
 public:
  /// Throws out_of_memory.
  CudaCache(const ModelConfig& config, const CacheGeometry& geometry, PinnedMemory& pinned,
            cudaStream_t stream);
  /// Exactly what the constructor allocates.
  static CacheBytes bytes(const ModelConfig& config, const CacheGeometry& geometry);

  const CacheGeometry& geometry() const override { return geometry_; }
  /// Waits for the device.
  CacheStats stats() const override;

  /// The same prompt, wherever the values lie; generated tokens are not taken over.
  void copy_from(const CudaCache& other);

  LayerStorage& layer(int64_t index) { return layers_[index]; }
  bool values_on_host() const { return geometry_.values_on_host && !geometry_.dense; }
  /// (num_layers, num_kv_heads)
  const std::vector<HeadView>& heads() const { return heads_; }
  /// Rows of one head's exact region.
  int64_t exact_capacity() const;
  int64_t exact_tokens() const;  // of the prompt

  /// No other cache of this process has it, not even one that is gone.
  const uint64_t id = next_id();
  int64_t steps = 0;      // decode steps so far
  int64_t generated = 0;  // tokens appended

 private:
  static uint64_t next_id();

  const ModelConfig& config_;
  CacheGeometry geometry_;
  DeviceBlock device_;
  PinnedMemory::Block host_;
  std::vector<LayerStorage> layers_;
  std::vector<HeadView> heads_;
  unsigned long long* hits_ = nullptr;
};

}  // namespace gnomon::cuda
