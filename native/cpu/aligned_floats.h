#pragma once
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace gnomon::cpu {

struct FreeAligned {
  void operator()(float* data) const { std::free(data); }
};

/// Uninitialised floats on a cache line boundary.
using AlignedFloats = std::unique_ptr<float[], FreeAligned>;

/// Throws out_of_memory.
AlignedFloats allocate_floats(int64_t count);

}  // namespace gnomon::cpu
