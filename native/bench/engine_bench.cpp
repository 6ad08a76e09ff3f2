// Times the engine on one model without Node: prefill and decode, both caches, several lengths and
// batches. Progress and a table go to stderr; stdout gets one JSON object.
//
//   bench --model DIR | --shape llama-3.1-8b [--tokens FILE] [--device cpu|cuda] [--prompts
//   4096,8192] [--batches 1,8]
//         [--caches full,shadowkv] [--steps 64] [--threads N] [--rank N] [--chunk-size N]
//         [--sparse-budget N] [--outlier-chunks N] [--local-window N] [--slots N]
//         [--device-bytes N] [--host-bytes N]
//
// FILE holds uint32 token ids; prompts are windows of it. Without it, tokens are random. A shape
// has random weights: its times are real, its answers and hit rates are not those of a trained
// model.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "bench/random_model.h"
#include "engine/error.h"
#include "engine/model.h"
#include "engine/prefill.h"

using namespace gnomon;
using nlohmann::json;

namespace {

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

class Arguments {
 public:
  Arguments(int argc, char** argv) {
    for (int i = 1; i < argc; i += 2) {
      const std::string name = argv[i];
      if (!name.starts_with("--") || i + 1 == argc) {
        throw EngineError("invalid_options", "expected --name value, got " + name);
      }
      values_[name.substr(2)] = argv[i + 1];
    }
  }
  std::string text(const std::string& name, const std::string& otherwise) {
    const auto it = values_.find(name);
    if (it == values_.end()) return otherwise;
    const std::string value = it->second;
    values_.erase(it);
    return value;
  }
  int64_t number(const std::string& name, int64_t otherwise) {
    const std::string value = text(name, "");
    return value.empty() ? otherwise : std::stoll(value);
  }
  std::vector<std::string> list(const std::string& name, const std::string& otherwise) {
    std::vector<std::string> parts;
    std::stringstream stream(text(name, otherwise));
    for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
    return parts;
  }
  void refuse_rest() const {
    for (const auto& [name, value] : values_) {
      throw EngineError("invalid_options", "unknown option --" + name);
    }
  }

 private:
  std::map<std::string, std::string> values_;
};

std::vector<uint32_t> read_tokens(const std::string& path, int64_t vocab_size) {
  std::vector<uint32_t> tokens;
  if (path.empty()) {
    std::mt19937 random(1);
    for (int i = 0; i < 1 << 16; ++i) tokens.push_back(random() % vocab_size);
    return tokens;
  }
  std::ifstream file(path, std::ios::binary);
  for (uint32_t token; file.read(reinterpret_cast<char*>(&token), 4);) tokens.push_back(token);
  if (tokens.empty()) throw EngineError("invalid_options", "no tokens in " + path);
  return tokens;
}

/// A window of the text, different for each sequence, wrapping around at its end.
std::vector<uint32_t> window(const std::vector<uint32_t>& text, int64_t sequence, int64_t count) {
  std::vector<uint32_t> tokens(count);
  const int64_t start = sequence * 1237;
  for (int64_t i = 0; i < count; ++i) tokens[i] = text[(start + i) % text.size()];
  return tokens;
}

struct Run {
  Model& model;
  const std::vector<uint32_t>& text;
  int64_t steps;

  /// One prompt length and cache: prefills the largest batch, then decodes with each batch size.
  void measure(const CacheOptions& options, const std::string& cache_name, int64_t prompt_tokens,
               const std::vector<int64_t>& batches, json& rows) {
    Backend& backend = model.backend();
    const int64_t largest = std::ranges::max(batches);
    const int64_t warm_up = std::max<int64_t>(4, steps / 8);
    const int64_t new_tokens = static_cast<int64_t>(batches.size()) * (warm_up + steps) + 1;
    const CacheGeometry geometry = resolve_geometry(options, prompt_tokens, new_tokens);
    std::vector<std::unique_ptr<SequenceCache>> caches;
    std::vector<uint32_t> next;
    std::vector<double> prefill_seconds;
    for (int64_t i = 0; i < largest; ++i) {
      std::fprintf(stderr, "\r%s %ld tokens: prefill %ld/%ld ", cache_name.c_str(), prompt_tokens,
                   i + 1, largest);
      caches.push_back(backend.make_cache(geometry));
      const std::vector<uint32_t> tokens = window(text, i, prompt_tokens);
      prefill_seconds.push_back(seconds_of([&] {
        Prefill prefill(model, tokens, *caches.back());
        while (!prefill.step()) {
        }
        next.push_back(model.greedy_tokens().front());
      }));
    }
    std::fprintf(stderr, "\r\033[K");

    std::vector<int32_t> positions(largest, static_cast<int32_t>(prompt_tokens));
    for (const int64_t batch : batches) {
      std::vector<double> step_seconds;
      for (int64_t step = 0; step < warm_up + steps; ++step) {
        const double took = seconds_of([&] { decode(batch, next, positions, caches); });
        if (step >= warm_up) step_seconds.push_back(took);
      }
      const double step = median(step_seconds);
      const CacheBytes bytes = backend.cache_bytes(geometry);
      rows.push_back({{"prompt_tokens", prompt_tokens},
                      {"cache", cache_name},
                      {"batch", batch},
                      {"prefill_seconds", median(prefill_seconds)},
                      {"prefill_tokens_per_second", prompt_tokens / median(prefill_seconds)},
                      {"decode_step_ms", step * 1e3},
                      {"decode_tokens_per_second", batch / step},
                      {"hit_rate", hit_rate(*caches[0])},
                      {"cache_device_bytes", bytes.device},
                      {"cache_host_bytes", bytes.host}});
      std::fprintf(stderr,
                   "%8ld  %-8s  batch %2ld  prefill %6.2f s  decode %7.1f tok/s  hits %.2f\n",
                   prompt_tokens, cache_name.c_str(), batch, median(prefill_seconds), batch / step,
                   hit_rate(*caches[0]));
    }
  }

  void decode(int64_t batch, std::vector<uint32_t>& next, std::vector<int32_t>& positions,
              const std::vector<std::unique_ptr<SequenceCache>>& caches) {
    std::vector<SequenceCache*> group;
    for (int64_t i = 0; i < batch; ++i) group.push_back(caches[i].get());
    const size_t n = static_cast<size_t>(batch);
    model.decode({{next.data(), n}, {positions.data(), n}, group});
    std::ranges::copy(model.greedy_tokens(), next.begin());
    for (int64_t i = 0; i < batch; ++i) ++positions[i];
  }

  static double hit_rate(const SequenceCache& cache) {
    const CacheStats stats = cache.stats();
    return stats.selected_chunks ? static_cast<double>(stats.hit_chunks) / stats.selected_chunks
                                 : 0.0;
  }
};

json run(Arguments arguments) {
  const std::string model_dir = arguments.text("model", "");
  const std::string shape = arguments.text("shape", "");
  const std::string device = arguments.text("device", "cpu");
  const std::string token_file = arguments.text("tokens", "");
  const auto prompts = arguments.list("prompts", "4096,8192,16384");
  const auto cache_names = arguments.list("caches", "full,shadowkv");
  std::vector<int64_t> batches;
  for (const std::string& batch : arguments.list("batches", "1,8")) {
    batches.push_back(std::stoll(batch));
  }
  const int64_t steps = arguments.number("steps", 64);
  BackendOptions backend_options;
  backend_options.threads = arguments.number("threads", 0);
  backend_options.device_bytes = arguments.number("device-bytes", 0);
  backend_options.host_bytes = arguments.number("host-bytes", 0);
  CacheOptions shadow;
  shadow.rank = arguments.number("rank", shadow.rank);
  shadow.chunk_size = arguments.number("chunk-size", shadow.chunk_size);
  shadow.sparse_budget = arguments.number("sparse-budget", shadow.sparse_budget);
  shadow.outlier_chunks = arguments.number("outlier-chunks", shadow.outlier_chunks);
  shadow.local_window = arguments.number("local-window", shadow.local_window);
  shadow.slots = arguments.number("slots", shadow.slots);
  arguments.refuse_rest();

  const ModelConfig config = shape.empty() ? load_config(model_dir) : config_of_shape(shape);
  check_cache_options(shadow, config.key_width());
  const auto backend = device == "cuda" ? make_cuda_backend(config, backend_options)
                                        : make_cpu_backend(config, backend_options);
  Model model(
      config,
      shape.empty() ? load_weights(config, model_dir, *backend) : random_weights(config, *backend),
      *backend, std::ranges::max(batches));
  const std::vector<uint32_t> text = read_tokens(token_file, config.vocab_size);

  json rows = json::array();
  for (const std::string& prompt : prompts) {
    for (const std::string& name : cache_names) {
      CacheOptions options = shadow;
      options.kind = name == "full" ? CacheKind::full : CacheKind::shadowkv;
      Run{model, text, steps}.measure(options, name, std::stoll(prompt), batches, rows);
    }
  }
  return {{"device", device},
          {"model", shape.empty() ? std::filesystem::path(model_dir).filename().string() : shape},
          {"host_bytes", backend_options.host_bytes},
          {"sparse_budget", shadow.sparse_budget},
          {"rank", shadow.rank},
          {"chunk_size", shadow.chunk_size},
          {"outlier_chunks", shadow.outlier_chunks},
          {"local_window", shadow.local_window},
          {"rows", rows}};
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::cout << run(Arguments(argc, argv)).dump() << std::endl;
    return 0;
  } catch (const EngineError& error) {
    std::fprintf(stderr, "%s: %s\n", error.code.c_str(), error.what());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "invalid_options: %s\n", error.what());
  }
  return 1;
}
