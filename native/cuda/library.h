#pragma once
#include "engine/backend.h"

namespace gnomon::cuda {

/// Throws device_unavailable where there is no usable GPU.
std::unique_ptr<Backend> make_backend(const ModelConfig& config, const BackendOptions& options);

/// The one function of libgnomon_cuda.so, and of libgnomon_cuda_fp32.so. The caller owns the
/// backend.
using MakeBackend = Backend*(const ModelConfig&, const BackendOptions&);
inline constexpr const char* kMakeBackendSymbol = "gnomon_make_cuda_backend";

}  // namespace gnomon::cuda
