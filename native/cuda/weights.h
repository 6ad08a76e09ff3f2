#pragma once

#include <memory>
#include <span>

#include "cuda/element.h"
#include "cuda/memory.h"
#include "cuda/weight_upload.h"
#include "engine/backend.h"

namespace gnomon::cuda {

/// Tensors stacked by rows, as elements in device memory; biases behind each other likewise.
/// Complete once the upload has finished.
class CudaWeight final : public Weight {
 public:
  CudaWeight(WeightUpload& upload, std::span<const HostTensor> weights,
             std::span<const HostTensor> biases);

  const Element* values() const { return values_->as<Element>(); }
  const Element* bias() const { return bias_->as<Element>(); }  // null: none

 private:
  std::shared_ptr<DeviceBlock> values_, bias_;
};

}  // namespace gnomon::cuda
