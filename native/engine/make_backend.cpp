#include "engine/backend.h"
#include "engine/error.h"

namespace gnomon {

std::unique_ptr<Backend> make_backend(const std::string& device, const ModelConfig& config,
                                      const BackendOptions& options) {
  if (device == "cpu") return make_cpu_backend(config, options);
  if (device == "cuda") return make_cuda_backend(config, options);
  throw EngineError("device_unavailable",
                    "device is \"" + device + "\"; expected \"cpu\" or \"cuda\"");
}

}  // namespace gnomon
