#pragma once
// The safetensors format: 8 bytes little-endian header length, a JSON header
// {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ...}, then the data.

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace gnomon {

struct TensorEntry {
  std::string dtype;  // as the header writes it, e.g. "BF16"; may be one the engine cannot read
  std::vector<int64_t> shape;
  std::span<const std::byte> data;  // within the file, not necessarily aligned to the dtype
};

using TensorTable = std::map<std::string, TensorEntry>;

/// The tensors of one file, which must outlive the table. Their data lies inside the file, is as
/// long as dtype and shape say (dtypes F32, F16, BF16), and fills it without overlap or hole.
/// Throws EngineError invalid_model naming `file_name` and the tensor.
TensorTable parse_safetensors(std::span<const std::byte> file, const std::string& file_name);

}  // namespace gnomon
