#include <cudnn.h>
#include <cudnn_frontend.h>

#include <cmath>
#include <map>
#include <string>
#include <unordered_map>

#include "cuda/check.h"
#include "cuda/memory.h"
#include "cuda/prefill_attention.h"

namespace gnomon::cuda {

namespace fe = cudnn_frontend;

namespace {

enum Uid : int64_t { kQuery = 1, kKey, kValue, kOut, kQueryLength, kKeyLength };

void check_graph(fe::error_t error, const char* what) {
  if (error.is_good()) return;
  throw EngineError("device_failed", std::string("cuDNN ") + what + ": " + error.get_message());
}

void check_cudnn(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw EngineError("device_failed", std::string(what) + ": " + cudnnGetErrorString(status));
}

struct Shape {
  int64_t queries, keys;  // padded rows
  bool from_start;        // as many of either count; else the last query sees the last key
  auto operator<=>(const Shape&) const = default;
};

struct Plan {
  std::shared_ptr<fe::graph::Graph> graph;
  DeviceBlock workspace;
};

}  // namespace

struct PrefillAttention::Impl {
  int64_t num_heads, num_kv_heads, head_dim;
  cudnnHandle_t handle = nullptr;
  DeviceBlock lengths{2 * sizeof(int32_t)};  // of query and key
  std::map<Shape, Plan> plans;

  Plan& plan(const Shape& shape);
};

PrefillAttention::PrefillAttention(int64_t num_heads, int64_t num_kv_heads, int64_t head_dim)
    : impl_(std::make_unique<Impl>()) {
  impl_->num_heads = num_heads;
  impl_->num_kv_heads = num_kv_heads;
  impl_->head_dim = head_dim;
  check_cudnn(cudnnCreate(&impl_->handle), "cudnnCreate");
}

PrefillAttention::~PrefillAttention() { cudnnDestroy(impl_->handle); }

int64_t PrefillAttention::padded_rows(int64_t rows) {
  // Steps of an eighth of the next lower power of two, at least 256: little waste, few plans.
  int64_t step = 256;
  while (step * 16 <= rows) step *= 2;
  return (rows + step - 1) / step * step;
}

Plan& PrefillAttention::Impl::plan(const Shape& shape) {
  if (const auto it = plans.find(shape); it != plans.end()) return it->second;
  Plan made;
  made.graph = std::make_shared<fe::graph::Graph>();
  made.graph->set_io_data_type(fe::DataType_t::BFLOAT16)
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT);
  const auto tensor = [&](const char* name, Uid uid, int64_t rows, int64_t heads) {
    const int64_t width = heads * head_dim;
    return made.graph->tensor(fe::graph::Tensor_attributes()
                                  .set_name(name)
                                  .set_uid(uid)
                                  .set_dim({1, heads, rows, head_dim})
                                  .set_stride({rows * width, head_dim, width, 1}));
  };
  const auto length_tensor = [&](const char* name, Uid uid) {
    return made.graph->tensor(fe::graph::Tensor_attributes()
                                  .set_name(name)
                                  .set_uid(uid)
                                  .set_dim({1, 1, 1, 1})
                                  .set_stride({1, 1, 1, 1})
                                  .set_data_type(fe::DataType_t::INT32));
  };
  auto attributes = fe::graph::SDPA_attributes()
                        .set_name("prefill_attention")
                        .set_generate_stats(false)
                        .set_attn_scale(1.0f / std::sqrt(static_cast<float>(head_dim)))
                        .set_padding_mask(true)
                        .set_seq_len_q(length_tensor("query_length", kQueryLength))
                        .set_seq_len_kv(length_tensor("key_length", kKeyLength));
  if (shape.from_start) {
    attributes.set_causal_mask(true);
  } else {
    attributes.set_causal_mask_bottom_right(true);
  }
  auto [out, stats] =
      made.graph->sdpa(tensor("query", kQuery, shape.queries, num_heads),
                       tensor("key", kKey, shape.keys, num_kv_heads),
                       tensor("value", kValue, shape.keys, num_kv_heads), attributes);
  const int64_t width = num_heads * head_dim;
  out->set_output(true)
      .set_uid(kOut)
      .set_dim({1, num_heads, shape.queries, head_dim})
      .set_stride({shape.queries * width, head_dim, width, 1});
  check_graph(made.graph->build(handle, {fe::HeurMode_t::A}), "attention plan");
  int64_t workspace_bytes = 0;
  check_graph(made.graph->get_workspace_size(workspace_bytes), "attention workspace");
  made.workspace = DeviceBlock(workspace_bytes);
  return plans.emplace(shape, std::move(made)).first->second;
}

void PrefillAttention::run(const Element* query, int64_t first, int64_t rows, const Element* key,
                           const Element* value, Element* out, cudaStream_t stream) {
  Plan& plan = impl_->plan({padded_rows(rows), padded_rows(first + rows), first == 0});
  const int32_t lengths[] = {static_cast<int32_t>(rows), static_cast<int32_t>(first + rows)};
  auto* device_lengths = impl_->lengths.as<int32_t>();
  CUDA_CHECK(
      cudaMemcpyAsync(device_lengths, lengths, sizeof(lengths), cudaMemcpyHostToDevice, stream));
  check_cudnn(cudnnSetStream(impl_->handle, stream), "cudnnSetStream");
  std::unordered_map<int64_t, void*> pointers{
      {kQuery, const_cast<Element*>(query)}, {kKey, const_cast<Element*>(key)},
      {kValue, const_cast<Element*>(value)}, {kOut, out},
      {kQueryLength, device_lengths},        {kKeyLength, device_lengths + 1}};
  check_graph(plan.graph->execute(impl_->handle, pointers, plan.workspace.as<void>()), "attention");
}

}  // namespace gnomon::cuda
