#include "engine/checkpoint.h"

#include <algorithm>

#include "engine/error.h"
#include "engine/json.h"

namespace gnomon {

namespace fs = std::filesystem;

namespace {

constexpr size_t kMaxIndexBytes = 100'000'000;

[[noreturn]] void fail(const std::string& message) { throw EngineError("invalid_model", message); }

bool is_present(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

/// Shards lie beside their index: anything but a plain file name could lead out of the directory.
bool is_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string("/\\\0", 3)) == std::string::npos;
}

DType read_dtype(const std::string& name, const std::string& dtype) {
  if (dtype == "F32") return DType::f32;
  if (dtype == "F16") return DType::f16;
  if (dtype == "BF16") return DType::bf16;
  fail("tensor " + name + " has dtype " + printable(dtype) + "; BF16, F16 and F32 are supported");
}

}  // namespace

std::string show_shape(std::span<const int64_t> shape) {
  std::string out = "[";
  for (const int64_t size : shape) {
    if (out.size() > 1) out += ", ";
    out += std::to_string(size);
  }
  return printable(out + "]");
}

Checkpoint::Checkpoint(const fs::path& model_dir) {
  const fs::path single = model_dir / "model.safetensors";
  const fs::path index = model_dir / "model.safetensors.index.json";
  if (is_present(single)) {
    tensors_ = map_file(single);
  } else if (is_present(index)) {
    map_shards(index);
  } else {
    fail(model_dir.string() + " has neither model.safetensors nor model.safetensors.index.json");
  }
}

TensorTable Checkpoint::map_file(const fs::path& path) {
  auto& file = files_[path.string()];
  if (!file) file = std::make_shared<const MappedFile>(path);
  return parse_safetensors(file->bytes(), path.filename().string());
}

void Checkpoint::map_shards(const fs::path& index) {
  const std::string index_name = index.filename().string();
  const nlohmann::json parsed = read_json(index, kMaxIndexBytes);
  const JsonFields fields(parsed, index_name);
  if (!fields.object("weight_map")) fields.fail("weight_map", "is missing");

  std::map<std::string, TensorTable> shards;
  for (const auto& [name, value] : parsed["weight_map"].items()) {
    const std::string place = index_name + ": tensor " + printable(name) + " ";
    if (!value.is_string()) fail(place + "must be given a file name");
    const std::string shard = value.get<std::string>();
    if (!is_file_name(shard)) {
      fail(place + "is placed in \"" + printable(shard) + "\", which is no plain file name");
    }
    const fs::path path = index.parent_path() / shard;
    if (!shards.contains(shard)) {
      if (!is_present(path))
        fail(place + "is placed in " + printable(shard) + ", which is missing");
      shards.emplace(shard, map_file(path));
    }
    const auto found = shards.at(shard).find(name);
    if (found == shards.at(shard).end()) {
      fail(place + "is placed in " + printable(shard) + ", which does not hold it");
    }
    tensors_.insert(*found);
  }
}

HostTensor Checkpoint::tensor(const std::string& name,
                              std::span<const int64_t> expected_shape) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) fail("tensor " + name + " is missing");
  const TensorEntry& entry = found->second;
  if (!std::ranges::equal(entry.shape, expected_shape)) {
    fail("tensor " + name + " has shape " + show_shape(entry.shape) + ", expected " +
         show_shape(expected_shape));
  }
  HostTensor tensor{name, read_dtype(name, entry.dtype), entry.shape, entry.data.data()};
  for (const auto& [path, file] : files_) {
    const auto offset = tensor.data - file->bytes().data();
    if (offset < 0 || offset > static_cast<ptrdiff_t>(file->bytes().size())) continue;
    tensor.owner = file;
    tensor.file = file->descriptor();
    tensor.offset = offset;
  }
  return tensor;
}

int64_t Checkpoint::bytes() const {
  int64_t bytes = 0;
  for (const auto& [name, entry] : tensors_) bytes += static_cast<int64_t>(entry.data.size());
  return bytes;
}

}  // namespace gnomon
