#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "cuda/decode_batch.h"
#include "cuda/library.h"
#include "cuda/linear.h"
#include "cuda/memory.h"
#include "cuda/ops.h"
#include "cuda/prefill_attention.h"
#include "cuda/reconstruct_keys.h"
#include "cuda/sequence_cache.h"
#include "cuda/summarise.h"
#include "cuda/weights.h"

namespace gnomon::cuda {

namespace {

constexpr size_t kLinearWorkspaceBytes = size_t{64} << 20;
// Left free for cuBLAS, cuDNN, graphs and the driver.
constexpr int64_t kReserveBytes = int64_t{3} << 30;
// Prompt rows behind a shared beginning that attend in one call.
constexpr int64_t kBlockRows = 4096;

struct CudaBuffer final : Buffer {
  CudaBuffer(int64_t allocated_rows, int64_t rows, int64_t cols)
      : block(allocated_rows * cols * sizeof(Element)), rows(rows), cols(cols) {}
  Matrix matrix() const override { return {block.as<void>(), rows, cols}; }
  DeviceBlock block;
  int64_t rows, cols;
};

Element* elements(Matrix m) { return static_cast<Element*>(m.data); }
const CudaWeight& as_cuda(const Weight& w) { return static_cast<const CudaWeight&>(w); }

class CudaBackend final : public Backend {
 public:
  CudaBackend(const ModelConfig& config, const BackendOptions& options)
      : config_(config),
        stream_(make_stream()),
        rope_storage_(upload_rope()),
        linear_(kLinearWorkspaceBytes),
        attention_(config.num_heads, config.num_kv_heads, config.head_dim),
        summariser_(config_),
        decode_(config_, rope(), stream_),
        pinned_(options.host_bytes),
        device_bytes_(options.device_bytes) {}

  ~CudaBackend() override {
    cudaDeviceSynchronize();
    cudaStreamDestroy(stream_);
  }

  CacheBytes capacity() const override {
    size_t free = 0, total = 0;
    CUDA_CHECK(cudaMemGetInfo(&free, &total));
    const int64_t available = static_cast<int64_t>(free) - kReserveBytes;
    const int64_t device = device_bytes_ > 0 ? std::min(device_bytes_, available) : available;
    return {std::max<int64_t>(device, 0), static_cast<int64_t>(pinned_.bytes())};
  }
  int64_t element_bytes() const override { return sizeof(Element); }
  void check_cache_options(const CacheOptions& options) const override {
    if (options.kind == CacheKind::full) return;
    const auto refuse = [](const char* knob, int64_t value, const std::string& rule) {
      throw EngineError("invalid_options", std::string(knob) + " is " + std::to_string(value) +
                                               "; on a GPU it must be " + rule);
    };
    if (options.rank % 8 != 0) refuse("rank", options.rank, "a multiple of 8");
    if (const int64_t most = most_rank(config_.head_dim); options.rank > most) {
      refuse("rank", options.rank, "at most " + std::to_string(most) + ", for its shared memory");
    }
    if (options.chunk_size != 8 && options.chunk_size != 16) {
      refuse("chunk_size", options.chunk_size, "8 or 16");
    }
    if (options.values == ValuePlacement::host && pinned_.bytes() == 0) {
      throw EngineError("invalid_options",
                        "values are to live on the host, and memory.hostBytes pins none of it");
    }
  }
  int64_t prefill_rows() const override { return 8192; }
  int64_t attention_rows() const override { return std::numeric_limits<int64_t>::max() / 2; }

  std::unique_ptr<Buffer> allocate(int64_t rows, int64_t cols) override {
    const int64_t padded = PrefillAttention::padded_rows(rows);
    auto buffer = std::make_unique<CudaBuffer>(padded, rows, cols);
    // Attention multiplies rows behind those that count by zero, which leaves a NaN of earlier use
    // a NaN.
    CUDA_CHECK(
        cudaMemsetAsync(buffer->block.as<void>(), 0, padded * cols * element_bytes(), stream_));
    return buffer;
  }
  int64_t matrix_bytes(int64_t rows, int64_t cols) const override {
    return PrefillAttention::padded_rows(rows) * cols * element_bytes();
  }
  std::unique_ptr<SequenceCache> make_cache(const CacheGeometry& geometry) override {
    return std::make_unique<CudaCache>(config_, geometry, pinned_, stream_);
  }
  CacheBytes cache_bytes(const CacheGeometry& geometry) const override {
    return CudaCache::bytes(config_, geometry);
  }

  std::unique_ptr<Weight> load_linear(std::span<const HostTensor> weights,
                                      std::span<const HostTensor> biases) override {
    for (const HostTensor& w : weights) weight_bytes_ += w.shape[0] * w.shape[1] * element_bytes();
    return std::make_unique<CudaWeight>(weight_upload(), weights, biases);
  }
  std::unique_ptr<Weight> load_embedding(const HostTensor& table) override {
    return load_one(table);
  }
  std::unique_ptr<Weight> load_norm(const HostTensor& gain) override { return load_one(gain); }
  void finish_loading() override {
    if (upload_) upload_->finish();
    upload_.reset();
  }

  void embed(std::span<const uint32_t> tokens, const Weight& table, Matrix out) override {
    const uint32_t* on_device = in_step_ ? decode_.on_device(tokens) : upload(tokens);
    cuda::embed(on_device, out.rows, as_cuda(table).values(), out.cols, elements(out), stream_);
  }
  void rms_norm(Matrix x, const Weight& gain, double eps, Matrix out) override {
    cuda::rms_norm(elements(x), as_cuda(gain).values(), static_cast<float>(eps), x.rows, x.cols,
                   elements(out), stream_);
  }
  void linear(Matrix x, const Weight& weight, Matrix out) override {
    multiply(x, weight, out, false);
  }
  void linear_add(Matrix x, const Weight& weight, Matrix out) override {
    multiply(x, weight, out, true);
  }
  void silu_multiply(Matrix gate_up, Matrix out) override {
    cuda::silu_multiply(elements(gate_up), out.rows, out.cols, elements(out), stream_);
  }
  void norm_heads(Matrix qkv, const Weight& query_gain, const Weight& key_gain,
                  double eps) override {
    cuda::norm_heads(elements(qkv), as_cuda(query_gain).values(), as_cuda(key_gain).values(),
                     static_cast<float>(eps), qkv.rows, static_cast<int32_t>(config_.num_heads),
                     static_cast<int32_t>(config_.num_kv_heads),
                     static_cast<int32_t>(config_.head_dim), stream_);
  }
  void split_and_rotate(Matrix qkv, std::span<const int32_t> positions, Matrix query,
                        Matrix key_pre_rope, Matrix key, Matrix value) override {
    // In prefill, rows follow each other, and overwrite the layer before.
    const int32_t* on_device = in_step_ ? decode_.on_device(positions) : nullptr;
    if (!in_step_) summariser_.join(stream_);
    cuda::split_and_rotate(
        elements(qkv), on_device, positions.front(), qkv.rows,
        static_cast<int32_t>(config_.num_heads), static_cast<int32_t>(config_.num_kv_heads), rope(),
        {elements(query), elements(key_pre_rope), elements(key), elements(value)}, stream_);
  }

  void prefill_attention(Matrix query, int64_t first, Matrix key, Matrix value,
                         Matrix out) override {
    summariser_.inputs_ready(stream_);
    if (query.rows == 1) return attend_last_row(query, first, key, value, out);
    if (first > 0) return attend_behind(query, first, key, value, out);
    attention_.run(elements(query), 0, query.rows, elements(key), elements(value), elements(out),
                   stream_);
  }
  bool attends_in_place() const override { return false; }
  void summarise(int64_t layer, Matrix key_pre_rope, Matrix key, Matrix value,
                 SequenceCache& cache) override {
    summariser_.run(layer, elements(key_pre_rope), elements(key), elements(value),
                    static_cast<CudaCache&>(cache));
  }

  std::vector<std::vector<int64_t>> decode_parts(
      std::span<SequenceCache* const> caches) const override {
    return decode_.parts(caches, weight_bytes_);
  }
  void decode_step(const DecodeStep& step, int64_t first_part,
                   const std::function<void()>& forward) override {
    summariser_.join(stream_);
    in_step_ = true;
    try {
      decode_.run(step, first_part, forward);
    } catch (...) {
      in_step_ = false;
      throw;
    }
    in_step_ = false;
  }
  void prepare_attention(int64_t layer, Matrix query, Matrix key, Matrix value,
                         std::span<SequenceCache* const> caches) override {
    decode_.prepare(layer, elements(query), elements(key), elements(value), caches);
  }
  void decode_attention(int64_t layer, Matrix query, Matrix, Matrix,
                        std::span<SequenceCache* const> caches, Matrix out) override {
    decode_.attend(layer, elements(query), caches, elements(out));
  }
  void steer_queries(double inertia) override { decode_.steer(inertia); }
  void copy_cache(const SequenceCache& from, SequenceCache& to) override {
    static_cast<CudaCache&>(to).copy_from(static_cast<const CudaCache&>(from));
  }

  void logits(Matrix x, const Weight& lm_head, std::span<float> out) override {
    const float* on_device = multiply_logits(x, lm_head);
    CUDA_CHECK(
        cudaMemcpyAsync(out.data(), on_device, out.size_bytes(), cudaMemcpyDeviceToHost, stream_));
    CUDA_CHECK(cudaStreamSynchronize(stream_));
  }
  void greedy_tokens(Matrix x, const Weight& lm_head, std::span<uint32_t> out) override {
    const float* on_device = multiply_logits(x, lm_head);
    auto* tokens = reserve(tokens_, token_capacity_, x.rows * sizeof(uint32_t)).as<uint32_t>();
    arg_max(on_device, x.rows, config_.vocab_size, tokens, stream_);
    CUDA_CHECK(
        cudaMemcpyAsync(out.data(), tokens, out.size_bytes(), cudaMemcpyDeviceToHost, stream_));
    CUDA_CHECK(cudaStreamSynchronize(stream_));
  }

 private:
  /// Its threads and pinned buffers last as long as the loading.
  WeightUpload& weight_upload() { return upload_ ? *upload_ : upload_.emplace(); }
  std::unique_ptr<Weight> load_one(const HostTensor& tensor) {
    return std::make_unique<CudaWeight>(weight_upload(), std::span(&tensor, 1),
                                        std::span<const HostTensor>());
  }

  static cudaStream_t make_stream() {
    cudaStream_t stream = nullptr;
    CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return stream;
  }

  DeviceBlock upload_rope() {
    const std::vector<float2> tables = make_rope_tables(config_);
    DeviceBlock block(tables.size() * sizeof(float2));
    CUDA_CHECK(cudaMemcpy(block.as<void>(), tables.data(), tables.size() * sizeof(float2),
                          cudaMemcpyHostToDevice));
    return block;
  }
  RopeTables rope() const { return view_rope_tables(config_, rope_storage_.as<float2>()); }

  /// `block`, made larger where it is too small. Callers use it on stream_ only.
  DeviceBlock& reserve(DeviceBlock& block, size_t& capacity, size_t bytes) {
    if (bytes <= capacity) return block;
    CUDA_CHECK(cudaStreamSynchronize(stream_));
    block = DeviceBlock();
    block = DeviceBlock(bytes);
    capacity = bytes;
    return block;
  }

  const uint32_t* upload(std::span<const uint32_t> tokens) {
    auto* on_device = reserve(tokens_, token_capacity_, tokens.size_bytes()).as<uint32_t>();
    CUDA_CHECK(cudaMemcpyAsync(on_device, tokens.data(), tokens.size_bytes(),
                               cudaMemcpyHostToDevice, stream_));
    return on_device;
  }

  void multiply(Matrix x, const Weight& weight, Matrix out, bool accumulate) {
    const CudaWeight& w = as_cuda(weight);
    linear_.run(
        {elements(x), w.values(), w.bias(), out.data, x.rows, x.cols, out.cols, accumulate, false},
        stream_);
  }
  const float* multiply_logits(Matrix x, const Weight& lm_head) {
    const int64_t vocab = config_.vocab_size;
    auto* out = reserve(logits_, logits_bytes_, x.rows * vocab * sizeof(float)).as<float>();
    linear_.run(
        {elements(x), as_cuda(lm_head).values(), nullptr, out, x.rows, x.cols, vocab, false, true},
        stream_);
    return out;
  }

  /// Rows in the middle of their matrices: these go through scratch that has the padding of
  /// attention, a block at a time. The scratch is part of kReserveBytes.
  void attend_behind(Matrix query, int64_t first, Matrix key, Matrix value, Matrix out) {
    const int64_t block = std::min(kBlockRows, query.rows);
    const size_t elements_of_block = PrefillAttention::padded_rows(block) * query.cols;
    auto* scratch =
        reserve(behind_, behind_bytes_, 2 * elements_of_block * element_bytes()).as<Element>();
    const auto copy = [&](Element* to, const Element* from, int64_t rows) {
      CUDA_CHECK(cudaMemcpyAsync(to, from, rows * query.cols * element_bytes(),
                                 cudaMemcpyDeviceToDevice, stream_));
    };
    for (int64_t row = 0; row < query.rows; row += block) {
      const int64_t rows = std::min(block, query.rows - row);
      copy(scratch, elements(query) + row * query.cols, rows);
      attention_.run(scratch, first + row, rows, elements(key), elements(value),
                     scratch + elements_of_block, stream_);
      copy(elements(out) + row * query.cols, scratch + elements_of_block, rows);
    }
  }

  /// The last prompt row of the last layer: decode attention over the prompt's own matrices.
  void attend_last_row(Matrix query, int64_t first, Matrix key, Matrix value, Matrix out) {
    std::vector<HeadView> heads(config_.num_kv_heads);
    for (int64_t h = 0; h < config_.num_kv_heads; ++h) {
      heads[h].exact_keys = elements(key) + h * config_.head_dim;
      heads[h].exact_values = elements(value) + h * config_.head_dim;
      heads[h].exact_tokens = static_cast<int32_t>(first + 1);
    }
    DecodeShape shape{};
    shape.batch = 1;
    shape.num_heads = static_cast<int32_t>(config_.num_heads);
    shape.num_kv_heads = static_cast<int32_t>(config_.num_kv_heads);
    shape.head_dim = static_cast<int32_t>(config_.head_dim);
    shape.chunk_size = 8;
    shape.max_tokens = static_cast<int32_t>(first + 1);
    const DeviceBlock table(heads.size() * sizeof(HeadView));
    const DeviceBlock scratch(attend_scratch_bytes(shape)), done(heads.size() * sizeof(int32_t));
    CUDA_CHECK(cudaMemsetAsync(done.as<void>(), 0, heads.size() * sizeof(int32_t), stream_));
    CUDA_CHECK(cudaMemcpyAsync(table.as<void>(), heads.data(), heads.size() * sizeof(HeadView),
                               cudaMemcpyHostToDevice, stream_));
    cuda::attend(shape, {table.as<HeadView>(), nullptr, nullptr, key.cols}, elements(query),
                 elements(out), scratch.as<void>(), done.as<int32_t>(), stream_);
    CUDA_CHECK(cudaStreamSynchronize(stream_));
  }

  const ModelConfig config_;
  cudaStream_t stream_;
  DeviceBlock rope_storage_;
  Linear linear_;
  PrefillAttention attention_;
  Summariser summariser_;
  DecodeBatch decode_;
  PinnedMemory pinned_;
  int64_t device_bytes_;
  bool in_step_ = false;

  DeviceBlock logits_, tokens_, behind_;
  size_t logits_bytes_ = 0, token_capacity_ = 0, behind_bytes_ = 0;
  int64_t weight_bytes_ = 0;  // of the linear layers
  std::optional<WeightUpload> upload_;
};

}  // namespace

std::unique_ptr<Backend> make_backend(const ModelConfig& config, const BackendOptions& options) {
  int devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&devices);
  if (status != cudaSuccess || devices == 0) {
    throw EngineError("device_unavailable",
                      std::string("no CUDA device: ") + cudaGetErrorString(status));
  }
  return std::make_unique<CudaBackend>(config, options);
}

}  // namespace gnomon::cuda
