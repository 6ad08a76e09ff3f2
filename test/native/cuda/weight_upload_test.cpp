#include "cuda/weight_upload.h"

#include <cuda_fp16.h>
#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "test/native/cuda/device.h"
#include "test/native/support/engine_error.h"
#include "test/native/support/temp_dir.h"

using namespace gnomon;
using namespace gnomon::test;

namespace {

constexpr int64_t kPiece = (8 << 20) / sizeof(cuda::Element);
constexpr int64_t kSizes[] = {1, 1000, kPiece - 1, kPiece + 1, 2 * kPiece + 1003};

template <typename T>
HostTensor in_memory(const std::vector<T>& values, DType dtype) {
  return {"in memory",
          dtype,
          {static_cast<int64_t>(values.size())},
          reinterpret_cast<const std::byte*>(values.data())};
}

template <typename T>
std::vector<float> floats(const std::vector<T>& values) {
  std::vector<float> out;
  for (const T value : values) out.push_back(static_cast<float>(value));
  return out;
}

/// Numbers that every dtype but f16 holds.
std::vector<__nv_bfloat16> random_bf16(size_t count, uint64_t seed) {
  std::vector<__nv_bfloat16> out;
  for (const auto value : random_elements(count, seed)) {
    out.push_back(__float2bfloat16(cuda::to_float(value)));
  }
  return out;
}

std::vector<cuda::Element> read(const cuda::DeviceBlock& block, size_t count) {
  std::vector<cuda::Element> values(count);
  CUDA_CHECK(cudaMemcpy(values.data(), block.as<void>(), count * sizeof(cuda::Element),
                        cudaMemcpyDeviceToHost));
  return values;
}

struct OpenFile {
  explicit OpenFile(const std::filesystem::path& path) : fd(::open(path.c_str(), O_RDONLY)) {}
  ~OpenFile() { ::close(fd); }
  int fd;
};

}  // namespace

TEST_CASE(
    "weight upload: tensors of every dtype and size arrive as elements, one behind the other") {
  NEEDS_GPU();
  std::vector<std::vector<__nv_bfloat16>> bf16;
  std::vector<std::vector<float>> f32;
  std::vector<std::vector<__half>> f16;
  std::vector<float> expected;
  int64_t total = 0;
  for (const int64_t size : kSizes) {
    bf16.push_back(random_bf16(size, size));
    f32.push_back(floats(bf16.back()));
    f16.emplace_back(size, __float2half(0.5f));
    expected.insert(expected.end(), f32.back().begin(), f32.back().end());
    expected.insert(expected.end(), f32.back().begin(), f32.back().end());
    expected.insert(expected.end(), size, 0.5f);
    total += 3 * size;
  }
  const auto block = std::make_shared<cuda::DeviceBlock>(total * sizeof(cuda::Element));
  cuda::WeightUpload upload;
  int64_t first = 0;
  const auto add = [&](const HostTensor& tensor) {
    upload.add(tensor, block, first);
    first += tensor.count();
  };
  for (size_t i = 0; i < bf16.size(); ++i) {
    add(in_memory(bf16[i], DType::bf16));
    add(in_memory(f32[i], DType::f32));
    add(in_memory(f16[i], DType::f16));
  }
  upload.finish();
  CHECK(floats(read(*block, total)) == expected);
}

TEST_CASE("weight upload: a tensor is read from its file, at its place there") {
  NEEDS_GPU();
  const auto values = random_elements(kPiece + 5, 3);
  const TempDir dir;
  dir.write("weights", "header" + std::string(reinterpret_cast<const char*>(values.data()),
                                              values.size() * sizeof(values[0])));
  const OpenFile file(dir.path() / "weights");
  HostTensor tensor = in_memory(values, cuda::kElementDType);
  tensor.file = file.fd;
  tensor.offset = 6;
  tensor.data = nullptr;
  const auto block = std::make_shared<cuda::DeviceBlock>(values.size() * sizeof(values[0]));
  cuda::WeightUpload upload;
  upload.add(tensor, block, 0);
  upload.finish();
  CHECK(floats(read(*block, values.size())) == floats(values));
}

TEST_CASE("weight upload: a file that ends early is an error that names the tensor") {
  NEEDS_GPU();
  const TempDir dir;
  dir.write("weights", "too short");
  const OpenFile file(dir.path() / "weights");
  const HostTensor tensor{"model.norm.weight", cuda::kElementDType, {100}, nullptr, {}, file.fd, 0};
  const auto block = std::make_shared<cuda::DeviceBlock>(100 * sizeof(cuda::Element));
  cuda::WeightUpload upload;
  upload.add(tensor, block, 0);
  const std::string message = error_of("invalid_model", [&] { upload.finish(); });
  CHECK(message == "tensor model.norm.weight cannot be read: its file ends early");
}
