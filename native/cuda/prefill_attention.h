#pragma once
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <memory>

namespace gnomon::cuda {

/// Causal attention of a whole prompt by cuDNN's fused kernels (FlashAttention-3 class on Hopper).
class PrefillAttention {
 public:
  PrefillAttention(int64_t num_heads, int64_t num_kv_heads, int64_t head_dim);
  ~PrefillAttention();

  /// Rows that every matrix handed to `run` must have, though only the prompt's count: plans are
  /// kept for a few lengths, not for every one.
  static int64_t padded_rows(int64_t prompt_tokens);

  /// query and out (padded_rows, num_heads * head_dim), key and value
  /// (padded_rows, num_kv_heads * head_dim). out must not be one of the others.
  void run(const __nv_bfloat16* query, const __nv_bfloat16* key, const __nv_bfloat16* value,
           int64_t prompt_tokens, __nv_bfloat16* out, cudaStream_t stream);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gnomon::cuda
