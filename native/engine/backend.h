#pragma once
// Every device operation of the engine, declared once at the granularity a GPU wants; model.cpp
// is written against this. A backend is used from one thread only. Calls may return before the
// device has finished; `logits` and `greedy_tokens` wait. Shapes are comments: (rows, columns).

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/cache_geometry.h"
#include "engine/config.h"
#include "engine/tensor.h"

namespace gnomon {

/// Backend-owned memory for one activation matrix.
struct Buffer {
  virtual ~Buffer() = default;
  virtual Matrix matrix() const = 0;
};

/// A model tensor in the layout its backend computes with.
struct Weight {
  virtual ~Weight() = default;
};

struct CacheBytes {
  int64_t device = 0;
  int64_t host = 0;  // values that ShadowKV moved out

  CacheBytes operator+(CacheBytes b) const { return {device + b.device, host + b.host}; }
  CacheBytes operator-(CacheBytes b) const { return {device - b.device, host - b.host}; }
};

struct CacheStats {
  int64_t selected_chunks = 0;  // over layers, KV heads and decode steps
  int64_t hit_chunks = 0;       // of these, already reconstructed in a slot
};

/// The keys and values of one sequence, all layers. Made by a backend, used only with it.
struct SequenceCache {
  virtual ~SequenceCache() = default;
  virtual const CacheGeometry& geometry() const = 0;
  virtual CacheStats stats() const = 0;
};

/// What one decode step feeds: tokens[i] at positions[i] to caches[i].
struct DecodeStep {
  std::span<const uint32_t> tokens;
  std::span<const int32_t> positions;
  std::span<SequenceCache* const> caches;
};

/// What the weights of a model are loaded into. The data of host tensors is aligned to their
/// dtype, and may be read until finish_loading: an owner keeps it, or the caller does.
class WeightStore {
 public:
  virtual ~WeightStore() = default;
  /// `weights` (out_i, in) are stacked by rows into one (sum out_i, in) product; `biases` is empty
  /// or has one (out_i) per weight.
  virtual std::unique_ptr<Weight> load_linear(std::span<const HostTensor> weights,
                                              std::span<const HostTensor> biases) = 0;
  virtual std::unique_ptr<Weight> load_embedding(const HostTensor& table) = 0;  // (vocab, hidden)
  virtual std::unique_ptr<Weight> load_norm(const HostTensor& gain) = 0;        // (hidden)
  /// Waits until every weight is complete. Throws what went wrong with one.
  virtual void finish_loading() {}
};

class Backend : public WeightStore {
 public:
  /// Bytes this backend may use in total; the ledger admits against it.
  virtual CacheBytes capacity() const = 0;
  /// Whether `host` bytes come out of the same memory as `device` bytes.
  virtual bool unified_memory() const { return false; }
  virtual int64_t element_bytes() const = 0;
  /// Throws invalid_options, naming the knob, for a cache that this backend cannot keep.
  virtual void check_cache_options(const CacheOptions&) const {}
  /// Prompt rows that one prefill step works on: enough to fill the device, few enough that a
  /// cancel is seen soon.
  virtual int64_t prefill_rows() const { return 512; }
  /// Prompt rows that one call of prefill_attention takes.
  virtual int64_t attention_rows() const { return prefill_rows(); }

  // Memory. Contents start undefined. Throws out_of_memory.
  virtual std::unique_ptr<Buffer> allocate(int64_t rows, int64_t cols) = 0;
  /// Exactly what allocate(rows, cols) takes.
  virtual int64_t matrix_bytes(int64_t rows, int64_t cols) const {
    return rows * cols * element_bytes();
  }
  virtual std::unique_ptr<SequenceCache> make_cache(const CacheGeometry& geometry) = 0;
  /// Exactly what make_cache(geometry) allocates.
  virtual CacheBytes cache_bytes(const CacheGeometry& geometry) const = 0;

  // Token-wise operations.
  /// out (n, hidden) = table[tokens]
  virtual void embed(std::span<const uint32_t> tokens, const Weight& table, Matrix out) = 0;
  /// out (n, hidden) = x / sqrt(mean(x^2) + eps) * gain
  virtual void rms_norm(Matrix x, const Weight& gain, double eps, Matrix out) = 0;
  /// out (n, out) = x (n, in) W^T + bias. Row i of the result depends on row i of x alone, bit for
  /// bit, whatever n is: this is what makes greedy tokens independent of the batch.
  virtual void linear(Matrix x, const Weight& weight, Matrix out) = 0;
  /// out += x W^T + bias
  virtual void linear_add(Matrix x, const Weight& weight, Matrix out) = 0;
  /// out (n, f) = silu(gate_up[:, :f]) * gate_up[:, f:]
  virtual void silu_multiply(Matrix gate_up, Matrix out) = 0;
  /// In place on qkv, shaped as for split_and_rotate: every query head and every key head becomes
  /// x / sqrt(mean(x^2) + eps) * gain (head_dim).
  virtual void norm_heads(Matrix qkv, const Weight& query_gain, const Weight& key_gain,
                          double eps) = 0;
  /// Splits qkv (n, (num_heads + 2 num_kv_heads) * head_dim) and rotates by `positions` (n).
  /// query (n, num_heads * head_dim) and key (n, key_width) rotated; value (n, key_width);
  /// key_pre_rope (n, key_width) unless its data is null.
  virtual void split_and_rotate(Matrix qkv, std::span<const int32_t> positions, Matrix query,
                                Matrix key_pre_rope, Matrix key, Matrix value) = 0;

  // Attention.
  /// Causal attention of prompt rows [first, first + query.rows) over rows [0, first + query.rows)
  /// of key and value (prompt, key_width). out may be the query matrix itself if
  /// attends_in_place().
  virtual void prefill_attention(Matrix query, int64_t first, Matrix key, Matrix value,
                                 Matrix out) = 0;
  virtual bool attends_in_place() const { return true; }
  /// Comes after the prefill attention of a layer: stores what decode needs of key_pre_rope, key
  /// and value (prompt, key_width). For a ShadowKV geometry: the rank-r factor of key_pre_rope,
  /// landmarks, outlier chunks, local window and values (paper, algorithm 1). key_pre_rope is
  /// ignored for a dense geometry.
  virtual void summarise(int64_t layer, Matrix key_pre_rope, Matrix key, Matrix value,
                         SequenceCache& cache) = 0;
  /// Comes some time before decode_attention with the same arguments: a backend may start here what
  /// takes long.
  virtual void prepare_attention(int64_t, Matrix, Matrix, Matrix, std::span<SequenceCache* const>) {
  }
  /// One decode step of one layer for a batch (paper, algorithm 2). Row i of query
  /// (n, num_heads * head_dim), key and value (n, key_width) belongs to caches[i]; key and value
  /// join its generated tokens, then the query attends. out (n, num_heads * head_dim).
  virtual void decode_attention(int64_t layer, Matrix query, Matrix key, Matrix value,
                                std::span<SequenceCache* const> caches, Matrix out) = 0;

  /// out (n, vocab_size) on the host = x (n, hidden_size) W^T in fp32, after all earlier work.
  virtual void logits(Matrix x, const Weight& lm_head, std::span<float> out) = 0;
  /// out (n) on the host = for each row, the first token of the highest logit.
  virtual void greedy_tokens(Matrix x, const Weight& lm_head, std::span<uint32_t> out) = 0;

  /// The parts that a step of these sequences is best cut into, each a list of indices into
  /// `caches`. The parts of a layer follow each other, so that one can wait for its values while
  /// the next computes.
  virtual std::vector<std::vector<int64_t>> decode_parts(
      std::span<SequenceCache* const> caches) const;
  /// Runs one decode step, whose first `first_part` sequences are its first part. For every step of
  /// as many sequences cut alike `forward` makes the same calls on the same matrices, with subspans
  /// of the step, and does nothing else; so a backend may record them and replay.
  virtual void decode_step(const DecodeStep&, int64_t /*first_part*/,
                           const std::function<void()>& forward) {
    forward();
  }

  // For benchmarks, where random weights have no locality and prompts are too many to prefill.
  /// From now on decode queries are `inertia` parts the one before and sqrt(1 - inertia^2) parts
  /// their own; 0 is off. Throws unsupported where a backend cannot.
  virtual void steer_queries(double inertia);
  /// Makes `to` a copy of `from`; their geometries agree but for the place of the values.
  virtual void copy_cache(const SequenceCache& from, SequenceCache& to);
};

struct BackendOptions {
  /// Of weights, activations and caches; none: bf16 on a GPU, fp32 on a CPU.
  std::optional<DType> dtype = {};
  int64_t threads = 0;       // CPU; 0: all cores this process may keep busy
  int64_t device_bytes = 0;  // 0: what the device has free, less a reserve
  int64_t host_bytes = 0;    // for values of ShadowKV
};

/// What BackendOptions has for "auto", "bfloat16" or "float32". Throws invalid_options.
std::optional<DType> dtype_of(const std::string& name);

/// Of "cpu" or "cuda".
std::unique_ptr<Backend> make_backend(const std::string& device, const ModelConfig& config,
                                      const BackendOptions& options);

/// All throw device_unavailable where they cannot run, invalid_options for a dtype they cannot
/// compute in.
std::unique_ptr<Backend> make_cpu_backend(const ModelConfig& config, const BackendOptions& options);
std::unique_ptr<Backend> make_cuda_backend(const ModelConfig& config,
                                           const BackendOptions& options);

}  // namespace gnomon
