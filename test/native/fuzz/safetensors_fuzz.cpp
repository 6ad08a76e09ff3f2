// Any bytes as a safetensors file: tensors that lie within it, or an EngineError invalid_model.

#include <cstdlib>
#include <span>

#include "engine/error.h"
#include "engine/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  try {
    for (const auto& [name, entry] : gnomon::parse_safetensors(file, "fuzz.safetensors")) {
      const bool within = entry.data.empty() ||
                          (entry.data.data() >= file.data() && &entry.data.back() <= &file.back());
      if (!within) std::abort();
    }
  } catch (const gnomon::EngineError& error) {
    if (error.code != "invalid_model") std::abort();
  }
  return 0;
}
