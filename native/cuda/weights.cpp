#include "cuda/weights.h"

#include <cuda_fp16.h>

#include <cstring>
#include <vector>

namespace gnomon::cuda {

namespace {

int64_t count_of(const HostTensor& tensor) {
  int64_t count = 1;
  for (const int64_t extent : tensor.shape) count *= extent;
  return count;
}

std::vector<__nv_bfloat16> converted(const HostTensor& tensor) {
  std::vector<__nv_bfloat16> out(count_of(tensor));
  for (size_t i = 0; i < out.size(); ++i) {
    if (tensor.dtype == DType::f32) {
      float value;
      std::memcpy(&value, tensor.data + i * sizeof(value), sizeof(value));
      out[i] = __float2bfloat16(value);
    } else {
      __half value;
      std::memcpy(&value, tensor.data + i * sizeof(value), sizeof(value));
      out[i] = __float2bfloat16(__half2float(value));
    }
  }
  return out;
}

DeviceBlock upload(std::span<const HostTensor> tensors) {
  int64_t total = 0;
  for (const HostTensor& tensor : tensors) total += count_of(tensor);
  DeviceBlock block(total * sizeof(__nv_bfloat16));
  auto* target = block.as<__nv_bfloat16>();
  for (const HostTensor& tensor : tensors) {
    const int64_t count = count_of(tensor);
    const size_t bytes = count * sizeof(__nv_bfloat16);
    if (tensor.dtype == DType::bf16) {
      CUDA_CHECK(cudaMemcpy(target, tensor.data, bytes, cudaMemcpyHostToDevice));
    } else {
      CUDA_CHECK(cudaMemcpy(target, converted(tensor).data(), bytes, cudaMemcpyHostToDevice));
    }
    target += count;
  }
  return block;
}

}  // namespace

CudaWeight::CudaWeight(std::span<const HostTensor> weights, std::span<const HostTensor> biases)
    : values_(upload(weights)), bias_(upload(biases)) {}

}  // namespace gnomon::cuda
