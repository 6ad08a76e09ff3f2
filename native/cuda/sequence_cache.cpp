#include "cuda/sequence_cache.h"

#include <atomic>

namespace gnomon::cuda {

namespace {

constexpr size_t kAlignment = 256;
// Long unused, so that the first misses take empty slots.
constexpr int32_t kNeverUsed = -(1 << 20);

/// Hands out consecutive ranges; with a null base it only counts.
class Cursor {
 public:
  explicit Cursor(std::byte* base) : base_(base) {}

  template <typename T>
  T* take(int64_t count) {
    const size_t at = used_;
    used_ += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + at);
  }
  size_t used() const { return used_; }

 private:
  std::byte* base_;
  size_t used_ = 0;
};

struct Arrays {
  std::vector<LayerStorage> layers;
  std::vector<HeadView> heads;
  int32_t* empty_from = nullptr;  // chunk_slot and slot_chunk of all heads, to be set to -1
  int64_t empty_count = 0;
  int32_t* slot_used = nullptr;  // of all heads
  int64_t slot_count = 0;
  unsigned long long* hits = nullptr;
};

int64_t exact_rows(const CacheGeometry& g) {
  return g.dense ? g.prompt_tokens : g.local_tokens() + g.num_outlier_chunks * g.chunk_size;
}

Arrays lay_out(const ModelConfig& c, const CacheGeometry& g, Cursor& device, Cursor& host) {
  const int64_t kv_heads = c.num_kv_heads, dim = c.head_dim;
  const int64_t exact = exact_rows(g), capacity = exact + g.max_new_tokens;
  const int64_t chunks = g.dense ? 0 : g.num_chunks, slots = g.dense ? 0 : g.num_slots;
  const int64_t all_heads = c.num_layers * kv_heads, words = (chunks + 31) / 32;
  Arrays out;
  out.hits = device.take<unsigned long long>(1);
  out.empty_count = all_heads * (chunks + slots);
  out.empty_from = device.take<int32_t>(out.empty_count);
  out.slot_count = all_heads * slots;
  out.slot_used = device.take<int32_t>(out.slot_count);
  for (int64_t l = 0; l < c.num_layers; ++l) {
    LayerStorage layer;
    layer.exact_keys = device.take<Element>(kv_heads * capacity * dim);
    layer.exact_values = device.take<Element>(kv_heads * capacity * dim);
    layer.landmarks = device.take<uint8_t>(kv_heads * chunks * dim);
    layer.landmark_steps = device.take<float>(chunks > 0 ? kv_heads * dim : 0);
    layer.outliers = device.take<uint32_t>(kv_heads * words);
    layer.factor = device.take<Element>(g.dense ? 0 : g.context_tokens() * g.rank);
    layer.basis = device.take<Element>(g.dense ? 0 : kv_heads * g.rank * dim);
    const int64_t values = g.dense ? 0 : kv_heads * g.context_tokens() * dim;
    layer.values = g.values_on_host ? host.take<Element>(values) : device.take<Element>(values);
    const int64_t slot_elements = slots * g.chunk_size * dim;
    auto* slot_keys = device.take<Element>(kv_heads * slot_elements);
    auto* slot_values = device.take<Element>(g.values_on_host ? kv_heads * slot_elements : 0);
    for (int64_t h = 0; h < kv_heads; ++h) {
      const int64_t index = l * kv_heads + h;
      HeadView head{};
      head.exact_keys = layer.exact_keys + h * capacity * dim;
      head.exact_values = layer.exact_values + h * capacity * dim;
      head.exact_tokens = static_cast<int32_t>(exact);
      head.first_position = static_cast<int32_t>(g.first_position);
      head.num_chunks = static_cast<int32_t>(chunks);
      head.num_selected = g.dense ? 0 : static_cast<int32_t>(g.num_selected_chunks);
      head.num_slots = static_cast<int32_t>(slots);
      head.landmarks = layer.landmarks + h * chunks * dim;
      head.landmark_steps = layer.landmark_steps + h * dim;
      head.outliers = layer.outliers + h * words;
      head.factor = layer.factor;
      head.basis = layer.basis + h * g.rank * dim;
      head.values = layer.values + h * g.context_tokens() * dim;
      head.slot_keys = slot_keys + h * slot_elements;
      head.slot_values = g.values_on_host ? slot_values + h * slot_elements : nullptr;
      head.chunk_slot = out.empty_from + index * chunks;
      head.slot_chunk = out.empty_from + all_heads * chunks + index * slots;
      head.slot_used = out.slot_used + index * slots;
      head.hits = out.hits;
      out.heads.push_back(head);
    }
    out.layers.push_back(layer);
  }
  return out;
}

}  // namespace

CacheBytes CudaCache::bytes(const ModelConfig& config, const CacheGeometry& geometry) {
  Cursor device(nullptr), host(nullptr);
  lay_out(config, geometry, device, host);
  return {static_cast<int64_t>(device.used()), static_cast<int64_t>(host.used())};
}

CudaCache::CudaCache(const ModelConfig& config, const CacheGeometry& geometry, PinnedMemory& pinned,
                     cudaStream_t stream)
    : config_(config), geometry_(geometry) {
  const CacheBytes need = bytes(config, geometry);
  device_ = DeviceBlock(need.device);
  host_ = PinnedMemory::Block(pinned, need.host);
  Cursor device(device_.as<std::byte>()), host(host_.as<std::byte>());
  Arrays arrays = lay_out(config, geometry, device, host);
  layers_ = std::move(arrays.layers);
  heads_ = std::move(arrays.heads);
  hits_ = arrays.hits;
  CUDA_CHECK(cudaMemsetAsync(hits_, 0, sizeof(*hits_), stream));
  if (geometry.dense) return;
  CUDA_CHECK(
      cudaMemsetAsync(arrays.empty_from, 0xff, arrays.empty_count * sizeof(int32_t), stream));
  const std::vector<int32_t> unused(arrays.slot_count, kNeverUsed);
  CUDA_CHECK(cudaMemcpyAsync(arrays.slot_used, unused.data(), arrays.slot_count * sizeof(int32_t),
                             cudaMemcpyHostToDevice, stream));
  CUDA_CHECK(cudaStreamSynchronize(stream));
}

void CudaCache::copy_from(const CudaCache& other) {
  const CacheGeometry& g = geometry_;
  const int64_t heads = config_.num_kv_heads, dim = config_.head_dim;
  const auto copy = [](void* to, const void* from, size_t bytes) {
    if (bytes > 0) CUDA_CHECK(cudaMemcpy(to, from, bytes, cudaMemcpyDefault));
  };
  const size_t exact = sizeof(Element) * exact_tokens() * dim;
  const size_t values = sizeof(Element) * heads * g.context_tokens() * dim;
  const DeviceBlock bounce(g.dense ? 0 : values);  // host to host would be the CPU's work
  for (size_t l = 0; l < layers_.size(); ++l) {
    const LayerStorage &to = layers_[l], &from = other.layers_[l];
    for (int64_t h = 0; h < heads; ++h) {
      copy(to.exact_keys + h * exact_capacity() * dim,
           from.exact_keys + h * other.exact_capacity() * dim, exact);
      copy(to.exact_values + h * exact_capacity() * dim,
           from.exact_values + h * other.exact_capacity() * dim, exact);
    }
    if (g.dense) continue;
    copy(to.landmarks, from.landmarks, heads * g.num_chunks * dim);
    copy(to.landmark_steps, from.landmark_steps, sizeof(float) * heads * dim);
    copy(to.outliers, from.outliers, sizeof(uint32_t) * heads * ((g.num_chunks + 31) / 32));
    copy(to.factor, from.factor, sizeof(Element) * g.context_tokens() * g.rank);
    copy(to.basis, from.basis, sizeof(Element) * heads * g.rank * dim);
    copy(bounce.as<void>(), from.values, values);
    copy(to.values, bounce.as<void>(), values);
  }
}

uint64_t CudaCache::next_id() {
  static std::atomic<uint64_t> last = 0;
  return ++last;
}

int64_t CudaCache::exact_tokens() const { return exact_rows(geometry_); }

int64_t CudaCache::exact_capacity() const { return exact_tokens() + geometry_.max_new_tokens; }

CacheStats CudaCache::stats() const {
  if (geometry_.dense) return {};
  unsigned long long hits = 0;
  CUDA_CHECK(cudaMemcpy(&hits, hits_, sizeof(hits), cudaMemcpyDeviceToHost));
  return {steps * static_cast<int64_t>(heads_.size()) * geometry_.num_selected_chunks,
          static_cast<int64_t>(hits)};
}

}  // namespace gnomon::cuda
