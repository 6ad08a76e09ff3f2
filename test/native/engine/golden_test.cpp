// One test a checkpoint: the CPU backend computes what Transformers does, in fp32.

#include "test/native/support/golden.h"

#include <doctest/doctest.h>

using namespace gnomon;
using namespace gnomon::test;

namespace {

constexpr double kTolerance = 1e-3;

std::unique_ptr<Backend> cpu(const ModelConfig& config) {
  return make_cpu_backend(config, {.threads = 2});
}

void check_golden(const std::string& name) {
  const GoldenResult full = run_golden(name, cpu, full_attention);
  CHECK(full.logits_error < kTolerance);
  CHECK(full.wrong_tokens == 0);
  const GoldenResult shadow = run_golden(name, cpu, lossless_shadowkv);
  CHECK(shadow.logits_error < kTolerance);
  CHECK(shadow.wrong_tokens == 0);
  MESSAGE(name << ": relative error " << full.logits_error << " with full attention, "
               << shadow.logits_error << " with lossless ShadowKV");
}

}  // namespace

TEST_CASE("golden: Llama 3.1, llama3 scaling") { check_golden("llama-3.1"); }
TEST_CASE("golden: Llama 3.2, tied, with biases") { check_golden("llama-3.2-tied"); }
TEST_CASE("golden: Llama, linear scaling") { check_golden("llama-linear"); }
TEST_CASE("golden: Mistral") { check_golden("mistral"); }
TEST_CASE("golden: Qwen2, group of 7") { check_golden("qwen2"); }
TEST_CASE("golden: Qwen2 with YaRN") { check_golden("qwen2-yarn"); }
TEST_CASE("golden: Qwen3, QK-norm") { check_golden("qwen3"); }
TEST_CASE("golden: Phi-3, LongRoPE within and beyond its original context") {
  check_golden("phi-3");
}
TEST_CASE("golden: GLM, partial interleaved RoPE") { check_golden("glm"); }
TEST_CASE("golden: ChatGLM's format of the same model") { check_golden("chatglm"); }
