#include "bench/load_bench.h"

#include <chrono>
#include <cstdio>
#include <fstream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/error.h"
#include "engine/weights.h"

namespace gnomon {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr int64_t kShardBytes = int64_t{4} << 30;

struct Entry {
  std::string name;
  std::vector<int64_t> shape;
  int64_t bytes;  // as bf16
};

/// The tensors of a Llama, in the order in which its layers need them.
std::vector<Entry> tensors_of(const ModelConfig& c) {
  std::vector<Entry> out;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    int64_t bytes = 2;
    for (const int64_t extent : shape) bytes *= extent;
    out.push_back({name + ".weight", std::move(shape), bytes});
  };
  const int64_t hidden = c.hidden_size, intermediate = c.intermediate_size;
  add("model.embed_tokens", {c.vocab_size, hidden});
  for (int64_t i = 0; i < c.num_layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    add(layer + "input_layernorm", {hidden});
    add(layer + "self_attn.q_proj", {c.query_width(), hidden});
    add(layer + "self_attn.k_proj", {c.key_width(), hidden});
    add(layer + "self_attn.v_proj", {c.key_width(), hidden});
    add(layer + "self_attn.o_proj", {hidden, c.query_width()});
    add(layer + "post_attention_layernorm", {hidden});
    add(layer + "mlp.gate_proj", {intermediate, hidden});
    add(layer + "mlp.up_proj", {intermediate, hidden});
    add(layer + "mlp.down_proj", {hidden, intermediate});
  }
  add("model.norm", {hidden});
  add("lm_head", {c.vocab_size, hidden});
  return out;
}

json config_json(const ModelConfig& c) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_act", "silu"},
          {"torch_dtype", "bfloat16"},
          {"vocab_size", c.vocab_size},
          {"hidden_size", c.hidden_size},
          {"intermediate_size", c.intermediate_size},
          {"num_hidden_layers", c.num_layers},
          {"num_attention_heads", c.num_heads},
          {"num_key_value_heads", c.num_kv_heads},
          {"head_dim", c.head_dim},
          {"max_position_embeddings", c.max_position_embeddings},
          {"rms_norm_eps", c.rms_norm_eps},
          {"rope_theta", c.rope.theta},
          {"eos_token_id", 1},
          {"tie_word_embeddings", false}};
}

void write_shard(const fs::path& path, const std::vector<Entry>& entries,
                 const std::vector<char>& random) {
  json header = json::object();
  int64_t total = 0;
  for (const Entry& entry : entries) {
    header[entry.name] = {
        {"dtype", "BF16"}, {"shape", entry.shape}, {"data_offsets", {total, total + entry.bytes}}};
    total += entry.bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::ofstream file(path, std::ios::binary);
  for (int shift = 0; shift < 64; shift += 8) {
    file.put(static_cast<char>(static_cast<uint64_t>(text.size()) >> shift));
  }
  file << text;
  for (int64_t done = 0; done < total;) {
    const auto size = std::min(total - done, static_cast<int64_t>(random.size()));
    file.write(random.data(), size);
    done += size;
  }
  if (!file.flush()) throw EngineError("invalid_options", path.string() + " cannot be written");
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

void write_random_checkpoint(const ModelConfig& config, const fs::path& dir) {
  fs::create_directories(dir);
  std::vector<char> random(size_t{64} << 20);
  std::mt19937_64 numbers(1);
  for (size_t i = 0; i < random.size(); i += 8) {
    const uint64_t number = numbers();
    std::copy_n(reinterpret_cast<const char*>(&number), 8, random.data() + i);
  }
  std::vector<std::vector<Entry>> shards(1);
  int64_t shard_bytes = 0, total = 0;
  for (Entry& entry : tensors_of(config)) {
    if (shard_bytes > 0 && shard_bytes + entry.bytes > kShardBytes) {
      shards.emplace_back();
      shard_bytes = 0;
    }
    shard_bytes += entry.bytes;
    total += entry.bytes;
    shards.back().push_back(std::move(entry));
  }
  json weight_map = json::object();
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = "model-" + std::to_string(i + 1) + ".safetensors";
    std::fprintf(stderr, "writing %s, %zu of %zu\n", name.c_str(), i + 1, shards.size());
    write_shard(dir / name, shards[i], random);
    for (const Entry& entry : shards[i]) weight_map[entry.name] = name;
  }
  std::ofstream(dir / "model.safetensors.index.json")
      << json{{"metadata", {{"total_size", total}}}, {"weight_map", weight_map}};
  std::ofstream(dir / "config.json") << config_json(config);
}

json time_loading(const fs::path& dir, const std::string& device, const BackendOptions& options) {
  const ModelConfig config = load_config(dir);
  const auto backend = make_backend(device, config, options);
  json loads = json::array();
  for (int i = 0; i < 2; ++i) {
    int64_t said = -1;
    const auto say = [&](int64_t bytes, int64_t total) {
      const int64_t percent = total > 0 ? 100 * bytes / total : 100;
      if (percent / 10 == said) return;
      said = percent / 10;
      std::fprintf(stderr, "load %d: %ld %%\n", i + 1, static_cast<long>(percent));
    };
    const auto start = std::chrono::steady_clock::now();
    const ModelWeights weights = load_weights(config, dir, *backend, say);
    const double seconds = seconds_since(start);
    loads.push_back({{"bytes", weights.bytes},
                     {"seconds", seconds},
                     {"gigabytes_per_second", static_cast<double>(weights.bytes) / seconds / 1e9}});
  }
  return {{"device", device}, {"directory", dir.string()}, {"loads", loads}};
}

}  // namespace gnomon
