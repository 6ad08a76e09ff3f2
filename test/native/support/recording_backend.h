#pragma once
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/backend.h"

namespace gnomon::test {

/// A backend that only loads: it keeps what each weight was made of, in order.
class RecordingBackend final : public Backend {
 public:
  struct Load {
    std::string kind;  // "linear", "embedding" or "norm"
    std::vector<HostTensor> weights;
    std::vector<HostTensor> biases;
  };

  std::vector<Load> loads;
  std::map<std::string, std::string> bytes;  // of each tensor, copied while it was mapped

  std::unique_ptr<Weight> load_linear(std::span<const HostTensor> weights,
                                      std::span<const HostTensor> biases) override {
    return record({"linear", {weights.begin(), weights.end()}, {biases.begin(), biases.end()}});
  }
  std::unique_ptr<Weight> load_embedding(const HostTensor& table) override {
    return record({"embedding", {table}, {}});
  }
  std::unique_ptr<Weight> load_norm(const HostTensor& gain) override {
    return record({"norm", {gain}, {}});
  }

  void finish_loading() override { finished = true; }
  bool finished = false;

  CacheBytes capacity() const override { refuse(); }
  int64_t element_bytes() const override { return 4; }
  std::unique_ptr<Buffer> allocate(int64_t, int64_t) override { refuse(); }
  std::unique_ptr<SequenceCache> make_cache(const CacheGeometry&) override { refuse(); }
  CacheBytes cache_bytes(const CacheGeometry&) const override { refuse(); }
  void embed(std::span<const uint32_t>, const Weight&, Matrix) override { refuse(); }
  void rms_norm(Matrix, const Weight&, double, Matrix) override { refuse(); }
  void linear(Matrix, const Weight&, Matrix) override { refuse(); }
  void linear_add(Matrix, const Weight&, Matrix) override { refuse(); }
  void silu_multiply(Matrix, Matrix) override { refuse(); }
  void norm_heads(Matrix, const Weight&, const Weight&, double) override { refuse(); }
  void split_and_rotate(Matrix, std::span<const int32_t>, Matrix, Matrix, Matrix, Matrix) override {
    refuse();
  }
  void prefill_attention(Matrix, int64_t, Matrix, Matrix, Matrix) override { refuse(); }
  void summarise(int64_t, Matrix, Matrix, Matrix, SequenceCache&) override { refuse(); }
  void decode_attention(int64_t, Matrix, Matrix, Matrix, std::span<SequenceCache* const>,
                        Matrix) override {
    refuse();
  }
  void logits(Matrix, const Weight&, std::span<float>) override { refuse(); }
  void greedy_tokens(Matrix, const Weight&, std::span<uint32_t>) override { refuse(); }

 private:
  [[noreturn]] static void refuse() { throw std::logic_error("this backend only loads"); }

  std::unique_ptr<Weight> record(Load load) {
    for (const auto* tensors : {&load.weights, &load.biases}) {
      for (const HostTensor& tensor : *tensors) {
        size_t size = dtype_bytes(tensor.dtype);
        for (const int64_t extent : tensor.shape) size *= extent;
        bytes[tensor.name].assign(reinterpret_cast<const char*>(tensor.data), size);
        if (reinterpret_cast<uintptr_t>(tensor.data) % dtype_bytes(tensor.dtype) != 0) {
          throw std::logic_error(tensor.name + " is not aligned");
        }
      }
    }
    loads.push_back(std::move(load));
    return std::make_unique<Weight>();
  }
};

}  // namespace gnomon::test
