#include "engine/weights.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>

#include "test/native/support/engine_error.h"
#include "test/native/support/recording_backend.h"
#include "test/native/support/safetensors_writer.h"
#include "test/native/support/temp_dir.h"

using namespace gnomon;
using namespace gnomon::test;

namespace {

using Shape = std::vector<int64_t>;

ModelConfig tiny_config() {
  ModelConfig config;
  config.vocab_size = 7;
  config.hidden_size = 6;
  config.intermediate_size = 5;
  config.num_layers = 2;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 2;
  config.max_position_embeddings = 64;
  return config;
}

FileTensor patterned_tensor(const std::string& name, const std::string& dtype, const Shape& shape) {
  const size_t size =
      std::accumulate(shape.begin(), shape.end(), dtype == "F32" ? 4 : 2, std::multiplies<>());
  std::string data(size, '\0');
  const size_t seed = std::hash<std::string>()(name);  // no two tensors alike
  for (size_t i = 0; i < size; ++i) data[i] = static_cast<char>(seed + i * 31);
  return {name, dtype, shape, data};
}

/// Every tensor that Transformers writes for the model, in alternating dtypes.
std::vector<FileTensor> llama_tensors(const ModelConfig& config) {
  std::vector<FileTensor> out;
  const auto add = [&](const std::string& name, const Shape& shape) {
    const char* dtypes[] = {"BF16", "F16", "F32"};
    out.push_back(patterned_tensor(name, dtypes[out.size() % 3], shape));
  };
  const auto linear = [&](const std::string& name, int64_t rows, int64_t in, bool bias) {
    add(name + ".weight", {rows, in});
    if (bias) add(name + ".bias", {rows});
  };
  const int64_t hidden = config.hidden_size;
  add("model.embed_tokens.weight", {config.vocab_size, hidden});
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    add(prefix + "input_layernorm.weight", {hidden});
    add(prefix + "post_attention_layernorm.weight", {hidden});
    linear(prefix + "self_attn.q_proj", config.query_width(), hidden, config.qkv_bias);
    linear(prefix + "self_attn.k_proj", config.key_width(), hidden, config.qkv_bias);
    linear(prefix + "self_attn.v_proj", config.key_width(), hidden, config.qkv_bias);
    linear(prefix + "self_attn.o_proj", hidden, config.query_width(), config.output_bias);
    linear(prefix + "mlp.gate_proj", config.intermediate_size, hidden, config.mlp_bias);
    linear(prefix + "mlp.up_proj", config.intermediate_size, hidden, config.mlp_bias);
    linear(prefix + "mlp.down_proj", hidden, config.intermediate_size, config.mlp_bias);
  }
  add("model.norm.weight", {hidden});
  if (!config.tie_word_embeddings) add("lm_head.weight", {config.vocab_size, hidden});
  return out;
}

int64_t total_bytes(const std::vector<FileTensor>& tensors) {
  int64_t bytes = 0;
  for (const auto& tensor : tensors) bytes += static_cast<int64_t>(tensor.data.size());
  return bytes;
}

/// "linear q.weight+k.weight+v.weight | q.bias+..." without the layer's prefix.
std::string describe(const RecordingBackend::Load& load) {
  std::string out = load.kind;
  const auto add = [&](const std::vector<HostTensor>& tensors) {
    for (const auto& tensor : tensors) {
      const auto dot = tensor.name.rfind('.', tensor.name.rfind('.') - 1);
      out += " " + (dot == std::string::npos ? tensor.name : tensor.name.substr(dot + 1));
    }
  };
  add(load.weights);
  if (!load.biases.empty()) out += " +";
  add(load.biases);
  return out;
}

std::vector<std::string> describe(const RecordingBackend& backend) {
  std::vector<std::string> out;
  for (const auto& load : backend.loads) out.push_back(describe(load));
  return out;
}

}  // namespace

TEST_CASE("weights: an untied model without biases is bound, stacked and bit-exact") {
  const ModelConfig config = tiny_config();
  const auto tensors = llama_tensors(config);
  const TempDir dir;
  dir.write("model.safetensors", safetensors(tensors));
  RecordingBackend backend;
  const ModelWeights weights = load_weights(config, dir.path(), backend);

  const std::vector<std::string> layer = {"norm input_layernorm.weight",
                                          "linear q_proj.weight k_proj.weight v_proj.weight",
                                          "linear o_proj.weight",
                                          "norm post_attention_layernorm.weight",
                                          "linear gate_proj.weight up_proj.weight",
                                          "linear down_proj.weight"};
  std::vector<std::string> expected = {"embedding embed_tokens.weight", "linear lm_head.weight"};
  for (int i = 0; i < 2; ++i) expected.insert(expected.end(), layer.begin(), layer.end());
  expected.push_back("norm norm.weight");
  CHECK(describe(backend) == expected);

  CHECK(backend.bytes.size() == tensors.size());
  for (const auto& tensor : tensors) {
    CAPTURE(tensor.name);
    CHECK(backend.bytes.at(tensor.name) == tensor.data);
  }
  REQUIRE(weights.layers.size() == 2);
  CHECK(weights.embedding);
  CHECK(weights.final_norm);
  CHECK(weights.lm_head);
  for (const auto& bound : weights.layers) {
    CHECK((bound.input_norm && bound.qkv && bound.output));
    CHECK((bound.post_norm && bound.gate_up && bound.down));
  }
  CHECK(weights.bytes == total_bytes(tensors));
}

TEST_CASE("weights: a tied model multiplies by its embedding, whatever else the file holds") {
  ModelConfig config = tiny_config();
  config.tie_word_embeddings = true;
  auto tensors = llama_tensors(config);
  const int64_t bytes = total_bytes(tensors);
  tensors.push_back(patterned_tensor("lm_head.weight", "F32", {1, 1}));
  const TempDir dir;
  dir.write("model.safetensors", safetensors(tensors));
  RecordingBackend backend;
  const ModelWeights weights = load_weights(config, dir.path(), backend);
  CHECK(describe(backend.loads[0]) == "embedding embed_tokens.weight");
  CHECK(describe(backend.loads[1]) == "linear embed_tokens.weight");
  CHECK(backend.loads[0].weights[0].data == backend.loads[1].weights[0].data);
  CHECK(weights.lm_head);
  CHECK(weights.bytes == bytes);
}

TEST_CASE("weights: biases are loaded where the config says so") {
  ModelConfig config = tiny_config();
  config.qkv_bias = config.output_bias = true;
  config.mlp_bias = true;
  const auto tensors = llama_tensors(config);
  const TempDir dir;
  dir.write("model.safetensors", safetensors(tensors));
  RecordingBackend backend;
  load_weights(config, dir.path(), backend);
  CHECK(describe(backend.loads[3]) ==
        "linear q_proj.weight k_proj.weight v_proj.weight + q_proj.bias k_proj.bias v_proj.bias");
  CHECK(describe(backend.loads[4]) == "linear o_proj.weight + o_proj.bias");
  CHECK(describe(backend.loads[6]) ==
        "linear gate_proj.weight up_proj.weight + gate_proj.bias up_proj.bias");
  CHECK(describe(backend.loads[7]) == "linear down_proj.weight + down_proj.bias");
  CHECK(backend.loads[3].biases[1].shape == Shape{4});
  for (const auto& tensor : tensors) CHECK(backend.bytes.at(tensor.name) == tensor.data);
}

TEST_CASE("weights: tensors that their file does not align reach the backend aligned") {
  const ModelConfig config = tiny_config();
  const auto tensors = llama_tensors(config);
  for (const size_t misalignment : {1, 2, 5}) {
    const TempDir dir;
    dir.write("model.safetensors", safetensors(tensors, misalignment));
    RecordingBackend backend;  // throws where one is not
    load_weights(config, dir.path(), backend);
    for (const auto& tensor : tensors) CHECK(backend.bytes.at(tensor.name) == tensor.data);
  }
}

TEST_CASE("weights: a tensor outlives its checkpoint, in memory and in its file alike") {
  ModelConfig config = tiny_config();
  config.head_dim = 4;
  config.rope.interleaved = true;  // query and key are rearranged, so in no file
  for (const size_t misalignment : {0, 2, 1}) {
    const TempDir dir;
    dir.write("model.safetensors", safetensors(llama_tensors(config), misalignment));
    RecordingBackend backend;
    load_weights(config, dir.path(), backend);
    int in_file = 0;
    for (const auto& load : backend.loads) {
      for (const HostTensor& tensor : load.weights) {
        const std::string& bytes = backend.bytes.at(tensor.name);
        CHECK(std::memcmp(tensor.data, bytes.data(), bytes.size()) == 0);
        if (tensor.file < 0) continue;
        ++in_file;
        std::string read(bytes.size(), '\0');
        CHECK(::pread(tensor.file, read.data(), read.size(), tensor.offset) ==
              static_cast<ssize_t>(read.size()));
        CHECK(read == bytes);
      }
    }
    CHECK((in_file > 0) == (misalignment % 2 == 0));
  }
}

TEST_CASE("weights: rows of a fused tensor are found in its file") {
  ModelConfig config = tiny_config();
  config.head_dim = 4;
  config.rope.interleaved = true;
  auto tensors = llama_tensors(config);
  const auto fused_bytes = [&](const std::string& prefix) {
    std::string data;
    for (const char* part : {"q_proj", "k_proj", "v_proj"}) {
      const auto at = std::ranges::find(tensors, prefix + part + ".weight", &FileTensor::name);
      data += std::string(at->shape[0] * config.hidden_size * 2, static_cast<char>(data.size()));
      tensors.erase(at);
    }
    return data;
  };
  for (const std::string layer : {"0", "1"}) {
    const std::string prefix = "model.layers." + layer + ".self_attn.";
    const int64_t rows = config.query_width() + 2 * config.key_width();
    tensors.push_back(
        {prefix + "qkv_proj.weight", "BF16", {rows, config.hidden_size}, fused_bytes(prefix)});
  }
  const TempDir dir;
  dir.write("model.safetensors", safetensors(tensors));
  RecordingBackend backend;
  load_weights(config, dir.path(), backend);
  const HostTensor& value = backend.loads[3].weights.at(2);
  REQUIRE(value.file >= 0);
  std::string read(value.count() * 2, '\0');
  CHECK(::pread(value.file, read.data(), read.size(), value.offset) ==
        static_cast<ssize_t>(read.size()));
  CHECK(std::memcmp(read.data(), value.data, read.size()) == 0);
}

TEST_CASE("weights: loading tells how far it is, up to all of it") {
  const ModelConfig config = tiny_config();
  const auto tensors = llama_tensors(config);
  const TempDir dir;
  dir.write("model.safetensors", safetensors(tensors));
  RecordingBackend backend;
  std::vector<int64_t> seen;
  load_weights(config, dir.path(), backend, [&](int64_t bytes, int64_t total) {
    CHECK(total == total_bytes(tensors));
    CHECK(backend.finished == (bytes == total));
    seen.push_back(bytes);
  });
  CHECK(seen.front() == 0);
  CHECK(seen.back() == total_bytes(tensors));
  CHECK(seen.size() == 4);  // the start, each layer, the end
  CHECK(std::ranges::is_sorted(seen));
}

TEST_CASE("weights: each tensor that is missing or misshapen is named") {
  ModelConfig config = tiny_config();
  config.qkv_bias = config.output_bias = true;
  const auto tensors = llama_tensors(config);
  const TempDir dir;
  const auto message = [&](const std::vector<FileTensor>& file) {
    dir.write("model.safetensors", safetensors(file));
    RecordingBackend backend;
    return error_of("invalid_model", [&] { load_weights(config, dir.path(), backend); });
  };
  for (size_t i = 0; i < tensors.size(); ++i) {
    auto missing = tensors;
    missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(i));
    CHECK(message(missing) == "tensor " + tensors[i].name + " is missing");

    auto misshapen = tensors;
    misshapen[i].shape.insert(misshapen[i].shape.begin(), 1);
    CHECK(contains(message(misshapen), "tensor " + tensors[i].name + " has shape [1, "));
  }
  auto transposed = tensors;
  for (auto& tensor : transposed) std::reverse(tensor.shape.begin(), tensor.shape.end());
  CHECK(message(transposed) ==
        "tensor model.embed_tokens.weight has shape [6, 7], expected [7, 6]");
}

TEST_CASE("weights: the bundled model loads" *
          doctest::skip(!std::filesystem::exists(NEEDLE_MODEL_DIR "/model.safetensors"))) {
  const ModelConfig config = load_config(NEEDLE_MODEL_DIR);
  CHECK(config.num_layers == 6);
  CHECK(config.query_width() == 256);
  CHECK(config.key_width() == 128);
  CHECK(config.tie_word_embeddings);
  CHECK(config.eos_token_ids == std::vector<uint32_t>{4, 1});
  RecordingBackend backend;
  const ModelWeights weights = load_weights(config, NEEDLE_MODEL_DIR, backend);
  CHECK(backend.loads.size() == 2 + 6 * 6 + 1);
  CHECK(weights.bytes ==
        2 * (4096 * 256 + 256 + 6 * (2 * 256 + 512 * 256 + 256 * 256 + 3 * 768 * 256)));
}
