#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/element.h"
#include "cuda/leading_subspace.h"
#include "cuda/linear.h"
#include "cuda/memory.h"
#include "cuda/sequence_cache.h"

namespace gnomon::cuda {

/// Turns one layer's prompt keys and values into what decode needs (paper, algorithm 1), on a
/// stream of its own, beside the attention of that layer.
class Summariser {
 public:
  explicit Summariser(const ModelConfig& config);
  ~Summariser();
  Summariser(const Summariser&) = delete;
  Summariser& operator=(const Summariser&) = delete;

  /// All that `stream` was given so far comes before the next run.
  void inputs_ready(cudaStream_t stream);
  /// key_pre_rope, key and value (prompt_tokens, key_width), which stay as they are until a stream
  /// that joined gets there.
  void run(int64_t layer, const Element* key_pre_rope, const Element* key, const Element* value,
           CudaCache& cache);
  /// What `stream` is given from now on comes after the last run.
  void join(cudaStream_t stream);

 private:
  void summarise(int64_t layer, const Element* key_pre_rope, const Element* key,
                 const Element* value, CudaCache& cache, cudaStream_t stream);
  void factorise(const Element* key_pre_rope, const CacheGeometry& geometry,
                 const LayerStorage& layer, cudaStream_t stream);

  const ModelConfig& config_;
  Linear linear_;  // its own: the workspace is in use beside the layers'
  LeadingSubspace subspace_;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t ready_ = nullptr, done_ = nullptr;
  // Scratch.
  DeviceBlock gram_;                      // (key_width, key_width) fp32
  DeviceBlock range_;                     // (2, key_width)
  DeviceBlock projection_;                // (key_width, key_width) elements
  DeviceBlock cosines_, ranks_, chunks_;  // (num_kv_heads, num_chunks)
  int64_t chunk_capacity_ = 0;
};

}  // namespace gnomon::cuda
