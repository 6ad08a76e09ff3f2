#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "engine/mapped_file.h"
#include "engine/safetensors.h"
#include "engine/tensor.h"

namespace gnomon {

/// "[2, 3]"
std::string show_shape(std::span<const int64_t> shape);

/// The tensors of a model directory: `model.safetensors`, or the shards that
/// `model.safetensors.index.json` lists. Mapped, not read, for as long as this or one of its
/// tensors lives.
class Checkpoint {
 public:
  /// Throws EngineError invalid_model naming the file, and the tensor where it is one's fault.
  explicit Checkpoint(const std::filesystem::path& model_dir);

  bool holds(const std::string& name) const { return tensors_.contains(name); }
  /// Of all tensors.
  int64_t bytes() const;

  /// The data may be unaligned. Throws invalid_model where the tensor is missing, of another shape
  /// or of a dtype that is not bf16, fp16 or fp32.
  HostTensor tensor(const std::string& name, std::span<const int64_t> expected_shape) const;

 private:
  TensorTable map_file(const std::filesystem::path& path);
  void map_shards(const std::filesystem::path& index);

  std::map<std::string, std::shared_ptr<const MappedFile>> files_;  // by path
  TensorTable tensors_;
};

}  // namespace gnomon
