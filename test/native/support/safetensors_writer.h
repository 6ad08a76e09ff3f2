#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace gnomon::test {

struct FileTensor {
  std::string name;
  std::string dtype;  // "F32", "F16", "BF16", ...
  std::vector<int64_t> shape;
  std::string data;
};

/// A file of this header and data, whatever they say.
inline std::string raw_safetensors(const std::string& header, const std::string& data) {
  std::string out;
  for (int shift = 0; shift < 64; shift += 8) {
    out += static_cast<char>(static_cast<uint64_t>(header.size()) >> shift);
  }
  return out + header + data;
}

/// A valid file with the tensors' data in the order given. Its data begins at an address that is
/// `misalignment` modulo 8.
inline std::string safetensors(const std::vector<FileTensor>& tensors, size_t misalignment = 0) {
  nlohmann::json header = {{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (const auto& tensor : tensors) {
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", tensor.shape},
                           {"data_offsets", {data.size(), data.size() + tensor.data.size()}}};
    data += tensor.data;
  }
  std::string text = header.dump();
  while (text.size() % 8 != misalignment) text += ' ';
  return raw_safetensors(text, data);
}

}  // namespace gnomon::test
