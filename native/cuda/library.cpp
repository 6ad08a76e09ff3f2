#include "cuda/library.h"

extern "C" __attribute__((visibility("default"))) gnomon::Backend* gnomon_make_cuda_backend(
    const gnomon::ModelConfig& config, const gnomon::BackendOptions& options) {
  return gnomon::cuda::make_backend(config, options).release();
}
