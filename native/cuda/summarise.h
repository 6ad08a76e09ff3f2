#pragma once
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <cusolverDn.h>

#include <cstdint>

#include "cuda/linear.h"
#include "cuda/memory.h"
#include "cuda/sequence_cache.h"

namespace gnomon::cuda {

/// Turns one layer's prompt keys and values into what decode needs (paper, algorithm 1).
class Summariser {
 public:
  Summariser(const ModelConfig& config, Linear& linear);
  ~Summariser();
  Summariser(const Summariser&) = delete;
  Summariser& operator=(const Summariser&) = delete;

  /// key_pre_rope, key and value (prompt_tokens, key_width).
  void run(int64_t layer, const __nv_bfloat16* key_pre_rope, const __nv_bfloat16* key,
           const __nv_bfloat16* value, CudaCache& cache, cudaStream_t stream);

 private:
  void factorise(const __nv_bfloat16* key_pre_rope, const CacheGeometry& geometry,
                 const LayerStorage& layer, cudaStream_t stream);

  const ModelConfig& config_;
  Linear& linear_;
  cusolverDnHandle_t solver_ = nullptr;
  int solver_elements_ = 0;
  // Scratch, in floats: Gram matrix and eigenvectors, eigenvalues, solver workspace, info.
  DeviceBlock gram_, eigenvalues_, solver_workspace_, info_;
  DeviceBlock projection_;                // (key_width, key_width) bf16
  DeviceBlock cosines_, ranks_, chunks_;  // (num_kv_heads, num_chunks)
  int64_t chunk_capacity_ = 0;
};

}  // namespace gnomon::cuda
