#include "cuda/summarise.h"

#include "cuda/check.h"
#include "cuda/summarise_kernels.h"

namespace gnomon::cuda {

namespace {

constexpr size_t kWorkspaceBytes = size_t{64} << 20;

}  // namespace

Summariser::Summariser(const ModelConfig& config)
    : config_(config), linear_(kWorkspaceBytes), subspace_(config.key_width()) {
  CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  CUDA_CHECK(cudaEventCreateWithFlags(&ready_, cudaEventDisableTiming));
  CUDA_CHECK(cudaEventCreateWithFlags(&done_, cudaEventDisableTiming));
  const int64_t width = config.key_width();
  gram_ = DeviceBlock(sizeof(float) * width * width);
  range_ = DeviceBlock(sizeof(uint32_t) * 2 * width);
  projection_ = DeviceBlock(sizeof(Element) * width * width);
}

Summariser::~Summariser() {
  cudaStreamSynchronize(stream_);
  cudaEventDestroy(done_);
  cudaEventDestroy(ready_);
  cudaStreamDestroy(stream_);
}

void Summariser::inputs_ready(cudaStream_t stream) { CUDA_CHECK(cudaEventRecord(ready_, stream)); }

void Summariser::run(int64_t layer, const Element* key_pre_rope, const Element* key,
                     const Element* value, CudaCache& cache) {
  CUDA_CHECK(cudaStreamWaitEvent(stream_, ready_));
  summarise(layer, key_pre_rope, key, value, cache, stream_);
  CUDA_CHECK(cudaEventRecord(done_, stream_));
}

void Summariser::join(cudaStream_t stream) { CUDA_CHECK(cudaStreamWaitEvent(stream, done_)); }

void Summariser::summarise(int64_t layer_index, const Element* key_pre_rope, const Element* key,
                           const Element* value, CudaCache& cache, cudaStream_t stream) {
  const CacheGeometry& g = cache.geometry();
  const LayerStorage& layer = cache.layer(layer_index);
  const PromptShape shape{g.prompt_tokens, static_cast<int32_t>(config_.num_kv_heads),
                          static_cast<int32_t>(config_.head_dim),
                          static_cast<int32_t>(g.chunk_size), g.num_chunks};
  const int64_t stride = cache.exact_capacity() * config_.head_dim;
  if (g.dense) {
    copy_rows(shape, key, 0, g.prompt_tokens, layer.exact_keys, stride, stream);
    copy_rows(shape, value, 0, g.prompt_tokens, layer.exact_values, stride, stream);
    return;
  }
  if (g.num_chunks > chunk_capacity_) {
    CUDA_CHECK(cudaStreamSynchronize(stream));
    chunk_capacity_ = g.num_chunks;
    const size_t count = config_.num_kv_heads * chunk_capacity_;
    cosines_ = DeviceBlock(sizeof(float) * count);
    ranks_ = DeviceBlock(sizeof(uint32_t) * count);
    chunks_ = DeviceBlock(sizeof(int32_t) * count);
  }
  factorise(key_pre_rope, g, layer, stream);

  const auto outliers = static_cast<int32_t>(g.num_outlier_chunks);
  auto* chunks = chunks_.as<int32_t>();
  compare_chunks(shape, key, cosines_.as<float>(), stream);
  select_outliers(shape, cosines_.as<float>(), outliers, ranks_.as<uint32_t>(), layer.outliers,
                  chunks, stream);
  make_landmarks(shape, key, layer.outliers, range_.as<uint32_t>(), layer.landmarks,
                 layer.landmark_steps, stream);

  // The exact region: local window, then outlier chunks; generated tokens follow in decode.
  const int64_t local = g.local_tokens() * config_.head_dim;
  copy_rows(shape, key, g.context_tokens(), g.local_tokens(), layer.exact_keys, stride, stream);
  copy_rows(shape, value, g.context_tokens(), g.local_tokens(), layer.exact_values, stride, stream);
  copy_chunks(shape, key, chunks, outliers, layer.exact_keys + local, stride, stream);
  copy_chunks(shape, value, chunks, outliers, layer.exact_values + local, stride, stream);
  copy_rows(shape, value, 0, g.context_tokens(), layer.values,
            g.context_tokens() * config_.head_dim, stream);
}

void Summariser::factorise(const Element* key_pre_rope, const CacheGeometry& g,
                           const LayerStorage& layer, cudaStream_t stream) {
  const int64_t width = config_.key_width();
  auto* gram = gram_.as<float>();
  linear_.gram(key_pre_rope, g.prompt_tokens, width, gram, stream);
  const double* vectors = subspace_.find(gram, g.rank, stream);
  auto* projection = projection_.as<Element>();
  make_basis(vectors, static_cast<int32_t>(width), static_cast<int32_t>(config_.head_dim),
             static_cast<int32_t>(g.rank), layer.basis, projection, stream);
  linear_.run({key_pre_rope, projection, nullptr, layer.factor, g.context_tokens(), width, g.rank,
               false, false},
              stream);
}

}  // namespace gnomon::cuda
