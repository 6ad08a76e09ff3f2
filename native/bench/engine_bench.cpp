// Times the engine on one model without Node: prefill and decode, both caches, several lengths and
// batches. Progress and a table go to stderr; stdout gets one JSON object.
//
//   bench --model DIR | --shape llama-3.1-8b [--layers N] [--tokens FILE] [--device cpu|cuda]
//         [--dtype auto|bfloat16|float32]
//         [--prompts 4096,8192] [--batches 1,8,max] [--caches full,shadowkv] [--steps 64]
//         [--rank N] [--chunk-size N] [--sparse-budget N[,N]] [--outlier-chunks N]
//         [--local-window N] [--slots N] [--values auto|device|host] [--hit-rates 0.6,0.8]
//         [--prefills N] [--threads N] [--device-bytes N] [--host-bytes N]
//         [--temperature T] [--top-p P] [--top-k N]
//   bench ... --questions 1,4,16 [--question-tokens 64]
//
//   bench --load DIR [--shape llama-3.1-8b] [--device cpu|cuda] [--dtype auto|bfloat16|float32]
//
// The second form times the loading of weights. Where DIR has no checkpoint it makes one of the
// shape, with random bytes; the second of its two loads comes from the page cache.
//
// FILE holds uint32 token ids; prompts are windows of it. Without it, tokens are random. A shape
// has random weights: its times are real, its answers and hit rates are not those of a trained
// model, so --hit-rates steers the queries of ShadowKV. With --prefills only so many prompts are
// prefilled, and the other sequences of a batch are copies. Of several sparse budgets, each goes
// with the prompt length at its place. With --questions nothing decodes: it times the prefill of so
// many prompts that differ in their last --question-tokens only, one after the other and together.
// Tokens are greedy ones unless a --temperature says that they are drawn, which the host does.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>

#include "bench/arguments.h"
#include "bench/load_bench.h"
#include "bench/measurement.h"
#include "bench/random_model.h"
#include "bench/shared_prefix.h"
#include "engine/error.h"

using namespace gnomon;
using nlohmann::json;

namespace {

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

ValuePlacement placement(const std::string& name) {
  if (name == "auto") return ValuePlacement::automatic;
  if (name == "device") return ValuePlacement::device;
  if (name == "host") return ValuePlacement::host;
  throw EngineError("invalid_options", "--values is auto, device or host, not " + name);
}

json run(Arguments arguments) {
  const std::string model_dir = arguments.text("model", "");
  const std::string shape = arguments.text("shape", "");
  const int64_t layers = arguments.number("layers", 0);
  const std::string device = arguments.text("device", "cpu");
  const std::string dtype = arguments.text("dtype", "auto");
  const std::string load_dir = arguments.text("load", "");
  if (!load_dir.empty()) {
    BackendOptions options;
    options.dtype = dtype_of(dtype);
    options.threads = arguments.number("threads", 0);
    arguments.refuse_rest();
    if (!std::filesystem::exists(std::filesystem::path(load_dir) / "config.json")) {
      write_random_checkpoint(config_of_shape(shape), load_dir);
    }
    return time_loading(load_dir, device, options);
  }
  const std::string token_file = arguments.text("tokens", "");
  const auto prompts = arguments.list("prompts", "4096,8192,16384");
  const auto cache_names = arguments.list("caches", "full,shadowkv");
  Measurement m;
  for (const std::string& batch : arguments.list("batches", "1,8")) {
    m.batches.push_back(batch == "max" ? Measurement::kLargest : std::stoll(batch));
  }
  for (const std::string& rate : arguments.list("hit-rates", "")) {
    m.hit_rates.push_back(std::stod(rate));
  }
  const auto questions = arguments.list("questions", "");
  SharedPrefix shared;
  shared.question_tokens = arguments.number("question-tokens", 64);
  m.prefills = arguments.number("prefills", 0);
  m.steps = arguments.number("steps", 64);
  m.sampling.temperature = std::stod(arguments.text("temperature", "0"));
  m.sampling.top_p = std::stod(arguments.text("top-p", "1"));
  m.sampling.top_k = arguments.number("top-k", 0);
  BackendOptions backend_options;
  backend_options.dtype = dtype_of(dtype);
  backend_options.threads = arguments.number("threads", 0);
  backend_options.device_bytes = arguments.number("device-bytes", 0);
  backend_options.host_bytes = arguments.number("host-bytes", 0);
  CacheOptions shadow;
  shadow.rank = arguments.number("rank", shadow.rank);
  shadow.chunk_size = arguments.number("chunk-size", shadow.chunk_size);
  const auto budgets = arguments.list("sparse-budget", std::to_string(shadow.sparse_budget));
  shadow.outlier_chunks = arguments.number("outlier-chunks", shadow.outlier_chunks);
  shadow.local_window = arguments.number("local-window", shadow.local_window);
  shadow.slots = arguments.number("slots", shadow.slots);
  const std::string values = arguments.text("values", "auto");
  shadow.values = placement(values);
  arguments.refuse_rest();

  ModelConfig config = shape.empty() ? load_config(model_dir) : config_of_shape(shape);
  if (!shape.empty() && layers > 0) config.num_layers = layers;
  const auto backend = device == "cuda" ? make_cuda_backend(config, backend_options)
                                        : make_cpu_backend(config, backend_options);
  backend->check_cache_options(shadow);
  constexpr int64_t kMostSequences = 128;
  Model model(
      config,
      shape.empty() ? load_weights(config, model_dir, *backend) : random_weights(config, *backend),
      *backend, kMostSequences);
  const std::vector<uint32_t> text = read_tokens(token_file, config.vocab_size);

  json rows = json::array();
  for (size_t i = 0; i < prompts.size(); ++i) {
    for (const std::string& name : cache_names) {
      m.cache_name = name;
      m.cache = shadow;
      m.cache.sparse_budget = std::stoll(budgets[std::min(i, budgets.size() - 1)]);
      check_cache_options(m.cache, config.key_width());
      if (name == "full") m.cache.kind = CacheKind::full;
      m.prompt_tokens = std::stoll(prompts[i]);
      for (const std::string& count : questions) {
        shared.questions = std::stoll(count);
        rows.push_back(measure_shared_prefix(model, text, m, shared));
      }
      if (!questions.empty()) continue;
      measure(model, text, m, rows);
    }
  }
  return {{"device", device},
          {"dtype", dtype},
          {"model", shape.empty() ? std::filesystem::path(model_dir).filename().string() : shape},
          {"layers", config.num_layers},
          {"host_bytes", backend_options.host_bytes},
          {"values", values},
          {"rank", shadow.rank},
          {"chunk_size", shadow.chunk_size},
          {"outlier_chunks", shadow.outlier_chunks},
          {"local_window", shadow.local_window},
          {"prefills", m.prefills},
          {"temperature", m.sampling.temperature},
          {"top_p", m.sampling.top_p},
          {"top_k", m.sampling.top_k},
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
