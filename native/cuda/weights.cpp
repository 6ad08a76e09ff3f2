#include "cuda/weights.h"

namespace gnomon::cuda {

namespace {

std::shared_ptr<DeviceBlock> stack(WeightUpload& upload, std::span<const HostTensor> tensors) {
  int64_t total = 0;
  for (const HostTensor& tensor : tensors) total += tensor.count();
  const auto block = std::make_shared<DeviceBlock>(total * sizeof(Element));
  int64_t first = 0;
  for (const HostTensor& tensor : tensors) {
    upload.add(tensor, block, first);
    first += tensor.count();
  }
  return block;
}

}  // namespace

CudaWeight::CudaWeight(WeightUpload& upload, std::span<const HostTensor> weights,
                       std::span<const HostTensor> biases)
    : values_(stack(upload, weights)), bias_(stack(upload, biases)) {}

}  // namespace gnomon::cuda
