// Any bytes as model.safetensors.index.json beside one sound shard.

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "engine/checkpoint.h"
#include "engine/error.h"

namespace {

std::filesystem::path make_folder() {
  const auto folder =
      std::filesystem::temp_directory_path() / ("gnomon-fuzz-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  const std::string header = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  std::ofstream shard(folder / "model-1.safetensors", std::ios::binary);
  for (int shift = 0; shift < 64; shift += 8) {
    shard.put(static_cast<char>(static_cast<uint64_t>(header.size()) >> shift));
  }
  shard << header << std::string(4, '\0');
  return folder;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::filesystem::path folder = make_folder();
  std::ofstream(folder / "model.safetensors.index.json", std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  try {
    const gnomon::Checkpoint checkpoint(folder);
    if (checkpoint.holds("a")) checkpoint.tensor("a", std::array<int64_t, 1>{1});
  } catch (const gnomon::EngineError& error) {
    if (error.code != "invalid_model") std::abort();
  }
  return 0;
}
