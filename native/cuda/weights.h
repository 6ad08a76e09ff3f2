#pragma once
#include <cuda_bf16.h>

#include <span>

#include "cuda/memory.h"
#include "engine/backend.h"

namespace gnomon::cuda {

/// Tensors stacked by rows, as bf16 in device memory; biases behind each other likewise.
class CudaWeight final : public Weight {
 public:
  CudaWeight(std::span<const HostTensor> weights, std::span<const HostTensor> biases);

  const __nv_bfloat16* values() const { return values_.as<__nv_bfloat16>(); }
  const __nv_bfloat16* bias() const { return bias_.as<__nv_bfloat16>(); }  // null: none

 private:
  DeviceBlock values_, bias_;
};

}  // namespace gnomon::cuda
