#pragma once
#include <cuda_runtime.h>

#include <cstdint>
#include <memory>

#include "cuda/element.h"

namespace gnomon::cuda {

/// Causal attention of a prompt: by cuDNN's fused kernels (FlashAttention-3 class on Hopper), of
/// fp32, which they do not take, by one of our own.
class PrefillAttention {
 public:
  PrefillAttention(int64_t num_heads, int64_t num_kv_heads, int64_t head_dim);
  ~PrefillAttention();

  /// Rows that a matrix handed to `run` must have, of which only the first `rows` count: cuDNN's
  /// plans are kept for a few lengths, not for every one. Those of key and value must be finite.
  static int64_t padded_rows(int64_t rows);

  /// Prompt rows [first, first + rows) attend to rows [0, first + rows). query and out
  /// (padded_rows(rows), num_heads * head_dim), key and value (padded_rows(first + rows),
  /// num_kv_heads * head_dim). out must not be one of the others; its padding is overwritten.
  void run(const Element* query, int64_t first, int64_t rows, const Element* key,
           const Element* value, Element* out, cudaStream_t stream);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gnomon::cuda
