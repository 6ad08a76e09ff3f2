#include "engine/backend.h"
#include "engine/error.h"

namespace gnomon {

std::optional<DType> dtype_of(const std::string& name) {
  if (name == "auto") return {};
  if (name == "bfloat16") return DType::bf16;
  if (name == "float32") return DType::f32;
  throw EngineError("invalid_options",
                    "dtype is \"" + name + "\"; it must be auto, bfloat16 or float32");
}

std::unique_ptr<Backend> make_backend(const std::string& device, const ModelConfig& config,
                                      const BackendOptions& options) {
  if (device == "cpu") return make_cpu_backend(config, options);
  if (device == "cuda") return make_cuda_backend(config, options);
  throw EngineError("device_unavailable",
                    "device is \"" + device + "\"; expected \"cpu\" or \"cuda\"");
}

}  // namespace gnomon
