#pragma once
#include <cuda_bf16.h>

#include <memory>
#include <span>

#include "cuda/memory.h"
#include "cuda/weight_upload.h"
#include "engine/backend.h"

namespace gnomon::cuda {

/// Tensors stacked by rows, as bf16 in device memory; biases behind each other likewise. Complete
/// once the upload has finished.
class CudaWeight final : public Weight {
 public:
  CudaWeight(WeightUpload& upload, std::span<const HostTensor> weights,
             std::span<const HostTensor> biases);

  const __nv_bfloat16* values() const { return values_->as<__nv_bfloat16>(); }
  const __nv_bfloat16* bias() const { return bias_->as<__nv_bfloat16>(); }  // null: none

 private:
  std::shared_ptr<DeviceBlock> values_, bias_;
};

}  // namespace gnomon::cuda
