#pragma once
#include "cpu/cpu_backend.h"

namespace gnomon::test {

/// What a CPU operation needs, without a backend around it.
class CpuContext {
 public:
  explicit CpuContext(const ModelConfig& config = one_head(), int64_t threads = 3)
      : config_(config), pool_(threads), rope_(config) {}

  operator cpu::Context&() { return context_; }
  ThreadPool& pool() { return pool_; }

  static ModelConfig one_head() {
    ModelConfig config;
    config.num_heads = config.num_kv_heads = 1;
    config.head_dim = 64;
    return config;
  }

 private:
  ModelConfig config_;
  ThreadPool pool_;
  cpu::RopeTable rope_;
  cpu::Context context_{config_, pool_, rope_};
};

}  // namespace gnomon::test
