// Opens the CUDA backend of the dtype that is asked for. Its library lies beside the program or
// addon that this is part of.

#include <dlfcn.h>

#include <filesystem>
#include <string>

#include "cuda/library.h"
#include "engine/error.h"

namespace gnomon {

std::unique_ptr<Backend> make_cuda_backend(const ModelConfig& config,
                                           const BackendOptions& options) {
  Dl_info here{};
  dladdr(reinterpret_cast<void*>(&make_cuda_backend), &here);
  const bool is_fp32 = options.dtype == DType::f32;
  const auto library = std::filesystem::canonical(here.dli_fname).parent_path() /
                       (is_fp32 ? "libgnomon_cuda_fp32.so" : "libgnomon_cuda.so");
  if (!std::filesystem::exists(library)) {
    throw EngineError("device_unavailable",
                      std::string("this build of the engine has no CUDA backend") +
                          (is_fp32 ? " for float32" : ""));
  }
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    throw EngineError("device_unavailable",
                      std::string("the CUDA backend cannot be loaded: ") + dlerror());
  }
  auto* make = reinterpret_cast<cuda::MakeBackend*>(dlsym(handle, cuda::kMakeBackendSymbol));
  if (make == nullptr) throw EngineError("device_unavailable", dlerror());
  return std::unique_ptr<Backend>(make(config, options));
}

}  // namespace gnomon
