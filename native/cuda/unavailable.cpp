#include "engine/backend.h"
#include "engine/error.h"

namespace gnomon {

std::unique_ptr<Backend> make_cuda_backend(const ModelConfig&, const BackendOptions&) {
  throw EngineError("device_unavailable", "this build of the engine has no CUDA backend");
}

}  // namespace gnomon
