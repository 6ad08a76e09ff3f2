#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "cpu/memory_block.h"
#include "engine/backend.h"
#include "engine/thread_pool.h"

namespace gnomon::cpu {

/// A linear layer, packed once at load for the matrix product.
struct LinearWeight final : Weight {
  int64_t in = 0;
  int64_t out = 0;
  MemoryBlock panels;  // (ceil(out / kTileWidth), in, kTileWidth), zero beyond `out`
  MemoryBlock bias;    // (out), empty without biases
};

/// An embedding table (rows, cols), or the gain of a norm (1, cols).
struct TableWeight final : Weight {
  int64_t rows = 0;
  int64_t cols = 0;
  MemoryBlock values;  // (rows, cols)
};

/// Backend::load_linear, by all threads of the pool.
std::unique_ptr<Weight> load_linear(ThreadPool& pool, std::span<const HostTensor> weights,
                                    std::span<const HostTensor> biases);
/// (rows, cols), or (cols) as one row.
std::unique_ptr<Weight> load_table(ThreadPool& pool, const HostTensor& tensor);

/// Converts `count` elements from the `first`-th on to fp32, exactly.
void to_floats(const HostTensor& tensor, int64_t first, int64_t count, float* out);

}  // namespace gnomon::cpu
