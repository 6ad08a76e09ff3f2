// Opens libgnomon_cuda.so, which lies beside the program or addon that this is part of, when the
// CUDA backend is first asked for.

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
  const auto library =
      std::filesystem::canonical(here.dli_fname).parent_path() / "libgnomon_cuda.so";
  if (!std::filesystem::exists(library)) {
    throw EngineError("device_unavailable", "this build of the engine has no CUDA backend");
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
