#include "cuda/decode_batch.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "cuda/cut_step.h"
#include "cuda/gather_values.h"
#include "cuda/ops.h"
#include "cuda/reconstruct_keys.h"
#include "cuda/select_chunks.h"
#include "cuda/steer_queries.h"

namespace gnomon::cuda {

namespace {

constexpr int64_t kStepArrays = 4;  // tokens, positions, generated, attended

/// Graphs bake the largest extents in: rounded up, a growing sequence needs a new one seldom.
int32_t round_up(int64_t value, int64_t step) {
  return static_cast<int32_t>((value + step - 1) / step * step);
}

}  // namespace

struct DecodeBatch::Graph {
  cudaGraphExec_t executable = nullptr;
  ~Graph() { cudaGraphExecDestroy(executable); }
};

DecodeBatch::DecodeBatch(const ModelConfig& config, RopeTables rope, cudaStream_t stream)
    : config_(config), rope_(rope), stream_(stream), inertia_(sizeof(float)) {
  // First in line: the bus must not wait. Keys can: in the way of the next part's attention they
  // would cost more than they gain.
  int lowest = 0, highest = 0;
  CUDA_CHECK(cudaDeviceGetStreamPriorityRange(&lowest, &highest));
  CUDA_CHECK(cudaStreamCreateWithPriority(&gather_stream_, cudaStreamNonBlocking, highest));
  CUDA_CHECK(cudaStreamCreateWithPriority(&select_stream_, cudaStreamNonBlocking, highest));
  CUDA_CHECK(cudaStreamCreateWithFlags(&rebuild_stream_, cudaStreamNonBlocking));
  CUDA_CHECK(cudaEventCreateWithFlags(&uploaded_, cudaEventDisableTiming));
  CUDA_CHECK(cudaEventCreateWithFlags(&scored_, cudaEventDisableTiming));
  CUDA_CHECK(cudaEventCreateWithFlags(&selected_, cudaEventDisableTiming));
  for (int64_t i = 0; i < kMaxParts; ++i) {
    CUDA_CHECK(cudaEventCreateWithFlags(&gathered_[i], cudaEventDisableTiming));
    CUDA_CHECK(cudaEventCreateWithFlags(&rebuilt_[i], cudaEventDisableTiming));
  }
}

DecodeBatch::~DecodeBatch() {
  for (const auto& [key, graph] : graphs_) delete graph;
  cudaFreeHost(staging_);
  for (int64_t i = 0; i < kMaxParts; ++i) {
    cudaEventDestroy(rebuilt_[i]);
    cudaEventDestroy(gathered_[i]);
  }
  cudaEventDestroy(selected_);
  cudaEventDestroy(scored_);
  cudaEventDestroy(uploaded_);
  cudaStreamDestroy(rebuild_stream_);
  cudaStreamDestroy(gather_stream_);
  cudaStreamDestroy(select_stream_);
}

void DecodeBatch::reserve(int64_t batch) {
  if (batch <= capacity_) return;
  CUDA_CHECK(cudaStreamSynchronize(stream_));
  for (const auto& [key, graph] : graphs_) delete graph;
  graphs_.clear();
  cache_ids_.clear();
  capacity_ = std::max<int64_t>(batch, 2 * capacity_);
  const size_t done_bytes = sizeof(int32_t) * capacity_ * config_.num_kv_heads;
  attend_done_ = DeviceBlock(done_bytes);
  CUDA_CHECK(cudaMemsetAsync(attend_done_.as<void>(), 0, done_bytes, stream_));
  tables_ = DeviceBlock(sizeof(HeadView) * config_.num_layers * capacity_ * config_.num_kv_heads);
  const size_t bytes = sizeof(int32_t) * (kStepArrays * capacity_ + 1);
  step_block_ = DeviceBlock(bytes);
  cudaFreeHost(staging_);
  staging_ = nullptr;
  CUDA_CHECK(cudaMallocHost(&staging_, bytes));
  auto* arrays = step_block_.as<int32_t>();
  tokens_ = reinterpret_cast<uint32_t*>(arrays);
  positions_ = arrays + capacity_;
  generated_ = arrays + 2 * capacity_;
  attended_ = arrays + 3 * capacity_;
  step_ = arrays + 4 * capacity_;
}

void DecodeBatch::upload(const DecodeStep& step) {
  const int64_t n = static_cast<int64_t>(step.tokens.size());
  std::vector<CudaCache*> caches;
  for (SequenceCache* cache : step.caches) caches.push_back(static_cast<CudaCache*>(cache));
  reserve(n);
  CUDA_CHECK(cudaEventSynchronize(uploaded_));  // of the step before, long since where it was read
  auto* staged = static_cast<int32_t*>(staging_);
  int64_t longest = 0;
  for (int64_t i = 0; i < n; ++i) {
    const auto generated = static_cast<int32_t>(caches[i]->generated);
    const CacheGeometry& g = caches[i]->geometry();
    if (generated >= g.max_new_tokens) {
      throw EngineError("internal", "a sequence generated more tokens than it has room for");
    }
    std::memcpy(&staged[i], &step.tokens[i], sizeof(int32_t));
    staged[capacity_ + i] = step.positions[i];
    staged[2 * capacity_ + i] = generated;
    staged[3 * capacity_ + i] = generated + 1;
    longest = std::max(longest, caches[i]->exact_tokens() + generated + 1 +
                                    (g.dense ? 0 : g.num_selected_chunks * g.chunk_size));
    ++caches[i]->generated;
    ++caches[i]->steps;
  }
  staged[4 * capacity_] = ++steps_;
  CUDA_CHECK(cudaMemcpyAsync(step_block_.as<void>(), staging_,
                             sizeof(int32_t) * (kStepArrays * capacity_ + 1),
                             cudaMemcpyHostToDevice, stream_));
  CUDA_CHECK(cudaEventRecord(uploaded_, stream_));
  const auto has_id = [](const CudaCache* cache, uint64_t id) { return cache->id == id; };
  if (!std::ranges::equal(caches, cache_ids_, has_id)) upload_tables(caches);
  shape_.max_tokens = round_up(longest, 4096);
  reserve_scratch();
}

void DecodeBatch::upload_tables(std::span<CudaCache* const> caches) {
  shape_ = {};
  shape_.batch = static_cast<int32_t>(caches.size());
  shape_.num_heads = static_cast<int32_t>(config_.num_heads);
  shape_.num_kv_heads = static_cast<int32_t>(config_.num_kv_heads);
  shape_.head_dim = static_cast<int32_t>(config_.head_dim);
  shape_.chunk_size = 8;
  shape_.rank = 8;
  std::vector<HeadView> table;
  for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
    for (const CudaCache* cache : caches) {
      const auto first = cache->heads().begin() + layer * config_.num_kv_heads;
      table.insert(table.end(), first, first + config_.num_kv_heads);
    }
  }
  for (const CudaCache* cache : caches) {
    const CacheGeometry& g = cache->geometry();
    if (g.dense) continue;
    shape_.chunk_size = static_cast<int32_t>(g.chunk_size);
    shape_.rank = static_cast<int32_t>(g.rank);
    shape_.max_chunks = std::max(shape_.max_chunks, round_up(g.num_chunks, 2048));
    shape_.max_selected =
        std::max(shape_.max_selected, static_cast<int32_t>(g.num_selected_chunks));
  }
  CUDA_CHECK(cudaMemcpyAsync(tables_.as<void>(), table.data(), sizeof(HeadView) * table.size(),
                             cudaMemcpyHostToDevice, stream_));
  CUDA_CHECK(cudaStreamSynchronize(stream_));
  cache_ids_.clear();
  for (const CudaCache* cache : caches) cache_ids_.push_back(cache->id);
}

void DecodeBatch::reserve_scratch() {
  const size_t heads = static_cast<size_t>(shape_.batch) * shape_.num_kv_heads;
  const size_t group = shape_.group(), chunks = shape_.max_chunks;
  const size_t selected = shape_.max_selected;
  const size_t sizes[] = {heads * group * chunks * sizeof(float),
                          heads * group * score_blocks(shape_) * sizeof(float2),
                          heads * chunks * sizeof(float),
                          heads * selected * sizeof(int32_t),
                          heads * selected * sizeof(int32_t),
                          heads * selected * sizeof(int32_t),
                          heads * sizeof(int32_t),
                          attend_scratch_bytes(shape_)};
  size_t offsets[std::size(sizes)], total = 0;
  for (size_t i = 0; i < std::size(sizes); ++i) {
    offsets[i] = total;
    total += (sizes[i] + 255) / 256 * 256;
  }
  if (total > scratch_bytes_) {
    CUDA_CHECK(cudaStreamSynchronize(stream_));
    for (const auto& [key, graph] : graphs_) delete graph;
    graphs_.clear();
    scratch_ = DeviceBlock(total);
    scratch_bytes_ = total;
  }
  if (steers_ && steered_ < capacity_) {
    const size_t bytes = sizeof(Element) * config_.num_layers * capacity_ * config_.query_width();
    queries_before_ = DeviceBlock(bytes);
    CUDA_CHECK(cudaMemsetAsync(queries_before_.as<void>(), 0, bytes, stream_));
    steered_ = capacity_;
  }
  auto* base = scratch_.as<std::byte>();
  scores_ = {reinterpret_cast<float*>(base + offsets[0]),
             reinterpret_cast<float2*>(base + offsets[1])};
  spill_ = reinterpret_cast<float*>(base + offsets[2]);
  selection_ = {
      reinterpret_cast<int32_t*>(base + offsets[3]), reinterpret_cast<int32_t*>(base + offsets[4]),
      reinterpret_cast<int32_t*>(base + offsets[5]), reinterpret_cast<int32_t*>(base + offsets[6])};
  attend_scratch_ = base + offsets[7];
}

std::vector<std::vector<int64_t>> DecodeBatch::parts(std::span<SequenceCache* const> caches,
                                                     int64_t weight_bytes) const {
  std::vector<int64_t> selected;
  for (const SequenceCache* each : caches) {
    const auto& cache = *static_cast<const CudaCache*>(each);
    const CacheGeometry& g = cache.geometry();
    const int64_t values = static_cast<int64_t>(cache.heads().size()) * g.num_selected_chunks *
                           g.chunk_size * config_.head_dim;
    selected.push_back(cache.values_on_host() ? values * int64_t{sizeof(Element)} : 0);
  }
  return cut_step(selected, weight_bytes);
}

void DecodeBatch::run(const DecodeStep& step, int64_t first_part,
                      const std::function<void()>& forward) {
  current_ = &step;
  upload(step);
  const std::vector<int32_t> key{shape_.batch,
                                 shape_.max_chunks,
                                 shape_.max_selected,
                                 shape_.max_tokens,
                                 shape_.chunk_size,
                                 shape_.rank,
                                 steers_,
                                 static_cast<int32_t>(first_part)};
  auto& graph = graphs_[key];
  if (graph == nullptr) {
    // The first run of a shape looks plans up and loads kernels, which no capture allows.
    forward();
    auto made = std::make_unique<Graph>();
    cudaGraph_t recorded = nullptr;
    CUDA_CHECK(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    try {
      forward();
    } catch (...) {
      cudaStreamEndCapture(stream_, &recorded);
      cudaGraphDestroy(recorded);
      throw;
    }
    CUDA_CHECK(cudaStreamEndCapture(stream_, &recorded));
    const cudaError_t instantiated = cudaGraphInstantiate(&made->executable, recorded, 0);
    cudaGraphDestroy(recorded);
    CUDA_CHECK(instantiated);
    graph = made.release();
    return;
  }
  CUDA_CHECK(cudaGraphLaunch(graph->executable, stream_));
}

DecodeBatch::Part DecodeBatch::part_of(int64_t layer,
                                       std::span<SequenceCache* const> caches) const {
  Part part{};
  part.shape = shape_;
  part.shape.batch = static_cast<int32_t>(caches.size());
  part.first = caches.data() - current_->caches.data();
  const int64_t heads = part.first * shape_.num_kv_heads, selected = heads * shape_.max_selected;
  part.heads = tables_.as<HeadView>() + layer * shape_.batch * shape_.num_kv_heads + heads;
  part.selection = {selection_.slots + selected, selection_.miss_chunks + selected,
                    selection_.miss_slots + selected, selection_.miss_counts + heads};
  const int64_t group_heads = heads * shape_.group();
  part.scores = {scores_.logits + group_heads * shape_.max_chunks,
                 scores_.partial + group_heads * score_blocks(shape_)};
  part.spill = spill_ + heads * shape_.max_chunks;
  const int64_t index = part.first == 0 ? 0 : 1;
  part.gathered = gathered_[index];
  part.rebuilt = rebuilt_[index];
  return part;
}

void DecodeBatch::prepare(int64_t layer, Element* query, const Element* key, const Element* value,
                          std::span<SequenceCache* const> caches) {
  const Part part = part_of(layer, caches);
  if (steers_) {
    const int64_t width = config_.query_width();
    steer_queries(inertia_.as<float>(), step_,
                  queries_before_.as<Element>() + (layer * capacity_ + part.first) * width, query,
                  part.shape.batch * width, stream_);
  }
  append(part.shape, part.heads, generated_ + part.first, key, value, stream_);
  if (shape_.max_chunks == 0) return;
  score_chunks(part.shape, part.heads, query, part.scores, stream_);
  CUDA_CHECK(cudaEventRecord(scored_, stream_));
  CUDA_CHECK(cudaStreamWaitEvent(select_stream_, scored_));
  select_chunks(part.shape, part.heads, part.scores, step_, part.spill, part.selection,
                select_stream_);
  CUDA_CHECK(cudaEventRecord(selected_, select_stream_));
  CUDA_CHECK(cudaStreamWaitEvent(gather_stream_, selected_));
  gather_values(part.shape, part.heads, part.selection, gather_stream_);
  CUDA_CHECK(cudaEventRecord(part.gathered, gather_stream_));
  CUDA_CHECK(cudaStreamWaitEvent(rebuild_stream_, selected_));
  reconstruct_keys(part.shape, part.heads, part.selection, rope_, rebuild_stream_);
  CUDA_CHECK(cudaEventRecord(part.rebuilt, rebuild_stream_));
}

void DecodeBatch::attend(int64_t layer, const Element* query,
                         std::span<SequenceCache* const> caches, Element* out) {
  const Part part = part_of(layer, caches);
  const bool sparse = shape_.max_chunks > 0;
  if (sparse) {
    CUDA_CHECK(cudaStreamWaitEvent(stream_, part.gathered));
    CUDA_CHECK(cudaStreamWaitEvent(stream_, part.rebuilt));
  }
  const AttendSources sources{part.heads, attended_ + part.first,
                              sparse ? part.selection.slots : nullptr, config_.head_dim};
  cuda::attend(part.shape, sources, query, out, attend_scratch_, attend_done_.as<int32_t>(),
               stream_);
}

void DecodeBatch::steer(double inertia) {
  steers_ = inertia > 0;
  const auto value = static_cast<float>(inertia);
  CUDA_CHECK(cudaStreamSynchronize(stream_));
  CUDA_CHECK(cudaMemcpy(inertia_.as<void>(), &value, sizeof(value), cudaMemcpyHostToDevice));
}

}  // namespace gnomon::cuda
