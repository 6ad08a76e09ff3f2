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

  /// Uploads what changed since the last step, then records `forward` or replays its graph.
  void run(const DecodeStep& step, const std::function<void()>& forward);

  /// Within `forward`: tokens and positions of the step, in device memory.
  const uint32_t* tokens() const { return tokens_; }
  const int32_t* positions() const { return positions_; }

  /// Within `forward`: one layer of DecodeStep's sequences.
  void attend(int64_t layer, const __nv_bfloat16* query, const __nv_bfloat16* key,
              const __nv_bfloat16* value, __nv_bfloat16* out);

 private:
  struct Graph;

  void reserve(int64_t batch);
  void upload(const DecodeStep& step);
  void upload_tables(std::span<CudaCache* const> caches);
  void reserve_scratch();

  const ModelConfig& config_;
  RopeTables rope_;
  cudaStream_t stream_;
  cudaStream_t side_ = nullptr;  // values travel here while keys are rebuilt
  cudaEvent_t selected_ = nullptr, gathered_ = nullptr;

  int64_t capacity_ = 0;
  std::vector<uint64_t> cache_ids_;  // of the caches in the tables
  DecodeShape shape_{};
  DeviceBlock tables_;       // HeadView (num_layers, batch, num_kv_heads)
  DeviceBlock step_block_;   // the per-step arrays below, behind each other
  void* staging_ = nullptr;  // pinned, same layout
  uint32_t* tokens_ = nullptr;
  int32_t* positions_ = nullptr;
  int32_t* generated_ = nullptr;  // tokens in the cache before this step's
  int32_t* attended_ = nullptr;   // and with it
  int32_t* step_ = nullptr;       // steps so far, all batches

  int32_t steps_ = 0;
  DeviceBlock scratch_;
  size_t scratch_bytes_ = 0;
  ChunkScores scores_{};
  uint32_t* ranks_ = nullptr;
  Selection selection_{};
  void* attend_scratch_ = nullptr;
  std::map<std::vector<int32_t>, Graph*> graphs_;
};

}  // namespace gnomon::cuda
