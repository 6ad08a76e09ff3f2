#include "cpu/sequence_cache.h"

#include <algorithm>
#include <string>

#include "cpu/head_rows.h"
#include "engine/error.h"

namespace gnomon::cpu {

struct CpuCache::Arenas {
  Arena device;
  Arena host;
};

CpuCache::CpuCache(const ModelConfig& config, const CacheGeometry& geometry)
    : geometry_(geometry),
      num_kv_heads_(config.num_kv_heads),
      head_dim_(config.head_dim),
      head_stride_(whole_vectors(config.head_dim)) {
  const CacheBytes sizes = bytes(config, geometry);
  device_ = MemoryBlock(sizes.device);
  host_ = MemoryBlock(sizes.host);
  Arenas arenas{Arena(device_.data()), Arena(host_.data())};
  lay_out(config.num_layers, arenas);
  for (SparseHead& head : sparse_) {
    head.slots = SlotTable(head.slot_storage, geometry_.num_slots, num_candidates());
  }
  generated_.assign(config.num_layers, 0);
}

CpuCache::CpuCache(const ModelConfig& config, const CacheGeometry& geometry, Arenas& measured)
    : geometry_(geometry),
      num_kv_heads_(config.num_kv_heads),
      head_dim_(config.head_dim),
      head_stride_(whole_vectors(config.head_dim)) {
  lay_out(config.num_layers, measured);
}

CacheBytes CpuCache::bytes(const ModelConfig& config, const CacheGeometry& geometry) {
  Arenas measured{Arena(nullptr), Arena(nullptr)};
  const CpuCache unbacked(config, geometry, measured);
  return {measured.device.used(), measured.host.used()};
}

void CpuCache::lay_out(int64_t num_layers, Arenas& arenas) {
  Arena& device = arenas.device;
  const CacheGeometry& g = geometry_;
  const int64_t heads = num_layers * num_kv_heads_;
  if (g.dense) {
    const int64_t capacity = (g.prompt_tokens + g.max_new_tokens) * head_stride_;
    for (int64_t i = 0; i < heads; ++i) {
      dense_.push_back({device.take<float>(capacity), device.take<float>(capacity)});
    }
    return;
  }
  const int64_t landmark_blocks = (num_candidates() + kLandmarkBlock - 1) / kLandmarkBlock;
  const int64_t chunk = g.chunk_size * head_stride_;
  for (int64_t layer = 0; layer < num_layers; ++layer) {
    factors_.push_back(device.take<float>(g.context_tokens() * g.rank));
    for (int64_t i = 0; i < num_kv_heads_; ++i) {
      SparseHead& head = sparse_.emplace_back();
      head.basis = device.take<float>(g.rank * head_stride_);
      head.landmarks = device.take<float>(landmark_blocks * head_dim_ * kLandmarkBlock);
      head.candidates = device.take<int32_t>(num_candidates());
      head.outliers = device.take<int32_t>(g.num_outlier_chunks);
      head.outlier_keys = device.take<float>(g.num_outlier_chunks * chunk);
      head.local_keys = device.take<float>(g.local_tokens() * head_stride_);
      head.slot_keys = device.take<float>(g.num_slots * chunk);
      head.slot_storage =
          device.take<int32_t>(SlotTable::storage_size(g.num_slots, num_candidates()));
      head.generated_keys = device.take<float>(g.max_new_tokens * head_stride_);
      head.generated_values = device.take<float>(g.max_new_tokens * head_stride_);
      head.values = arenas.host.take<float>(g.prompt_tokens * head_stride_);
    }
  }
}

void CpuCache::append(int64_t layer, const float* key, const float* value) {
  const int64_t token = generated_[layer];
  if (token >= geometry_.max_new_tokens) {
    throw EngineError("internal", "generated token " + std::to_string(token + 1) +
                                      " does not fit a KV cache made for " +
                                      std::to_string(geometry_.max_new_tokens));
  }
  for (int64_t i = 0; i < num_kv_heads_; ++i) {
    float* key_row;
    float* value_row;
    if (geometry_.dense) {
      const int64_t offset = (geometry_.prompt_tokens + token) * head_stride_;
      key_row = dense(layer, i).keys + offset;
      value_row = dense(layer, i).values + offset;
    } else {
      key_row = sparse(layer, i).generated_keys + token * head_stride_;
      value_row = sparse(layer, i).generated_values + token * head_stride_;
    }
    store_head(key + i * head_dim_, head_dim_, key_row);
    store_head(value + i * head_dim_, head_dim_, value_row);
  }
  ++generated_[layer];
}

void CpuCache::count_selection(int64_t selected, int64_t hits) {
  stats_.selected_chunks += selected;
  stats_.hit_chunks += hits;
}

}  // namespace gnomon::cpu
