// One test a checkpoint: the CUDA backend against Transformers' fp32, which it matches in fp32. In
// bf16 the tolerance is what its rounding, 2^-8, comes to over three layers of sharp random
// attention; greedy tokens are not compared, as rounding alone may turn a close one.

#include "test/native/support/golden.h"

#include "cuda/library.h"
#include "test/native/cuda/device.h"

using namespace gnomon;
using namespace gnomon::test;

namespace {

constexpr double kTolerance = tolerance(0.1, 1e-3);

std::unique_ptr<Backend> gpu(const ModelConfig& config) {
  return cuda::make_backend(config, {.host_bytes = int64_t{64} << 20});
}

void check_golden(const std::string& name) {
  const GoldenResult full = run_golden(name, gpu, full_attention);
  const GoldenResult shadow = run_golden(name, gpu, lossless_shadowkv);
  MESSAGE(name << ": relative error " << full.logits_error << " with full attention, "
               << shadow.logits_error << " with lossless ShadowKV");
  CHECK(full.logits_error < kTolerance);
  CHECK(shadow.logits_error < kTolerance);
  if (cuda::kElementDType == DType::f32) {
    CHECK(full.wrong_tokens == 0);
    CHECK(shadow.wrong_tokens == 0);
  }
}

}  // namespace

#define GOLDEN(title, name)          \
  TEST_CASE("cuda golden: " title) { \
    NEEDS_GPU();                     \
    check_golden(name);              \
  }
GOLDEN("Llama 3.1, llama3 scaling", "llama-3.1")
GOLDEN("Llama 3.2, tied, with biases", "llama-3.2-tied")
GOLDEN("Llama, linear scaling", "llama-linear")
GOLDEN("Mistral", "mistral")
GOLDEN("Qwen2, group of 7", "qwen2")
GOLDEN("Qwen2 with YaRN", "qwen2-yarn")
GOLDEN("Qwen3, QK-norm", "qwen3")
GOLDEN("Phi-3, LongRoPE within and beyond its original context", "phi-3")
GOLDEN("GLM, partial interleaved RoPE", "glm")
GOLDEN("ChatGLM's format of the same model", "chatglm")
