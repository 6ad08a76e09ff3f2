#pragma once
#include <cuda_runtime.h>

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "cuda/attend.h"
#include "cuda/head_view.h"
#include "cuda/memory.h"
#include "cuda/rope.h"
#include "cuda/score_chunks.h"
#include "cuda/sequence_cache.h"
#include "engine/backend.h"

namespace gnomon::cuda {

/// The batch that decodes: its tables in device memory, the attention of one layer, and the step
/// recorded as a CUDA graph for every shape of batch met so far.
class DecodeBatch {
 public:
  DecodeBatch(const ModelConfig& config, RopeTables rope, cudaStream_t stream);
  ~DecodeBatch();
  DecodeBatch(const DecodeBatch&) = delete;
  DecodeBatch& operator=(const DecodeBatch&) = delete;

  /// Uploads what changed since the last step, then records `forward`, whose first part has
  /// `first_part` rows, or replays its graph.
  void run(const DecodeStep& step, int64_t first_part, const std::function<void()>& forward);

  /// The parts that a step of these sequences is cut into (cut_step.h).
  std::vector<std::vector<int64_t>> parts(std::span<SequenceCache* const> caches,
                                          int64_t weight_bytes) const;

  /// Within `forward`, whose spans are parts of the step's: tokens and positions in device memory.
  const uint32_t* on_device(std::span<const uint32_t> tokens) const {
    return tokens_ + (tokens.data() - current_->tokens.data());
  }
  const int32_t* on_device(std::span<const int32_t> positions) const {
    return positions_ + (positions.data() - current_->positions.data());
  }

  /// Within `forward`: keys and values (rows, key_width) join the cache, chunks are selected,
  /// missing keys are rebuilt, and missing values start on their way.
  void prepare(int64_t layer, Element* query, const Element* key, const Element* value,
               std::span<SequenceCache* const> caches);
  /// Within `forward`, after prepare: the attention itself.
  void attend(int64_t layer, const Element* query, std::span<SequenceCache* const> caches,
              Element* out);

  void steer(double inertia);

 private:
  struct Graph;
  /// What the kernels of one layer see of one part.
  struct Part {
    DecodeShape shape;
    int64_t first;
    const HeadView* heads;
    ChunkScores scores;
    float* spill;
    Selection selection;
    cudaEvent_t gathered, rebuilt;
  };
  static constexpr int64_t kMaxParts = 2;

  Part part_of(int64_t layer, std::span<SequenceCache* const> caches) const;
  void reserve(int64_t batch);
  void upload(const DecodeStep& step);
  void upload_tables(std::span<CudaCache* const> caches);
  void reserve_scratch();

  const ModelConfig& config_;
  RopeTables rope_;
  cudaStream_t stream_;
  // Chunks are selected on one stream, their values travel on another, and keys are rebuilt on a
  // third, while stream_ goes on to the next part.
  cudaStream_t select_stream_ = nullptr, gather_stream_ = nullptr, rebuild_stream_ = nullptr;
  cudaEvent_t scored_ = nullptr, selected_ = nullptr;
  cudaEvent_t gathered_[kMaxParts] = {}, rebuilt_[kMaxParts] = {};
  const DecodeStep* current_ = nullptr;  // during run

  int64_t capacity_ = 0;
  std::vector<uint64_t> cache_ids_;  // of the caches in the tables
  DecodeShape shape_{};
  DeviceBlock tables_;              // HeadView (num_layers, batch, num_kv_heads)
  DeviceBlock step_block_;          // the per-step arrays below, behind each other
  void* staging_ = nullptr;         // pinned, same layout
  cudaEvent_t uploaded_ = nullptr;  // staging_ may be written again
  uint32_t* tokens_ = nullptr;
  int32_t* positions_ = nullptr;
  int32_t* generated_ = nullptr;  // tokens in the cache before this step's
  int32_t* attended_ = nullptr;   // and with it
  int32_t* step_ = nullptr;       // steps so far, all batches

  int32_t steps_ = 0;
  DeviceBlock scratch_;
  size_t scratch_bytes_ = 0;
  ChunkScores scores_{};
  float* spill_ = nullptr;
  Selection selection_{};
  void* attend_scratch_ = nullptr;
  DeviceBlock attend_done_;  // (capacity, num_kv_heads) of zeros
  std::map<std::vector<int32_t>, Graph*> graphs_;

  bool steers_ = false;
  DeviceBlock inertia_;         // float
  DeviceBlock queries_before_;  // (num_layers, capacity, num_heads * head_dim)
  int64_t steered_ = 0;         // that capacity
};

}  // namespace gnomon::cuda
