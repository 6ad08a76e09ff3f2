#include "cpu/aligned_floats.h"

#include <string>

#include "engine/error.h"

namespace gnomon::cpu {

AlignedFloats allocate_floats(int64_t count) {
  constexpr size_t kLine = 64;
  const size_t bytes = (static_cast<size_t>(count) * sizeof(float) + kLine - 1) / kLine * kLine;
  void* data = std::aligned_alloc(kLine, bytes);
  if (data == nullptr && bytes > 0) {
    throw EngineError("out_of_memory", "cannot allocate " + std::to_string(bytes) + " bytes");
  }
  return AlignedFloats(static_cast<float*>(data));
}

}  // namespace gnomon::cpu
