#include "addon/convert.h"

#include <algorithm>
#include <string>

namespace gnomon {

namespace {

int64_t integer(const Napi::Object& object, const char* name) {
  return object.Get(name).As<Napi::Number>().Int64Value();
}

double number(const Napi::Object& object, const char* name) {
  return object.Get(name).As<Napi::Number>().DoubleValue();
}

std::string string(const Napi::Object& object, const char* name) {
  return object.Get(name).As<Napi::String>().Utf8Value();
}

bool boolean(const Napi::Object& object, const char* name) {
  return object.Get(name).As<Napi::Boolean>().Value();
}

std::vector<uint32_t> tokens(const Napi::Object& object, const char* name) {
  const auto array = object.Get(name).As<Napi::Uint32Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

ValuePlacement to_value_placement(const std::string& name) {
  if (name == "device") return ValuePlacement::device;
  return name == "host" ? ValuePlacement::host : ValuePlacement::automatic;
}

CacheOptions to_cache_options(const Napi::Object& object) {
  CacheOptions options;
  options.kind = string(object, "kind") == "full" ? CacheKind::full : CacheKind::shadowkv;
  options.rank = integer(object, "rank");
  options.chunk_size = integer(object, "chunkSize");
  options.sparse_budget = integer(object, "sparseBudget");
  options.outlier_chunks = integer(object, "outlierChunks");
  options.local_window = integer(object, "localWindow");
  options.slots = integer(object, "slots");
  options.values = to_value_placement(string(object, "values"));
  return options;
}

Napi::Object to_js(Napi::Env env, const CacheBytes& bytes) {
  auto object = Napi::Object::New(env);
  object["device"] = static_cast<double>(bytes.device);
  object["host"] = static_cast<double>(bytes.host);
  return object;
}

Napi::Array to_js(Napi::Env env, const std::vector<TokenLogprobs>& all) {
  auto array = Napi::Array::New(env, all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    auto top = Napi::Array::New(env, all[i].top.size());
    for (size_t j = 0; j < all[i].top.size(); ++j) {
      auto alternative = Napi::Object::New(env);
      alternative["token"] = static_cast<double>(all[i].top[j].token);
      alternative["logprob"] = static_cast<double>(all[i].top[j].logprob);
      top[static_cast<uint32_t>(j)] = alternative;
    }
    auto object = Napi::Object::New(env);
    object["logprob"] = static_cast<double>(all[i].logprob);
    object["top"] = top;
    array[static_cast<uint32_t>(i)] = object;
  }
  return array;
}

}  // namespace

EngineOptions to_engine_options(const Napi::Object& object) {
  EngineOptions options;
  options.model_dir = string(object, "modelDir");
  options.device = string(object, "device");
  options.cache = to_cache_options(object.Get("cache").As<Napi::Object>());
  options.backend.dtype = dtype_of(string(object, "dtype"));
  options.backend.threads = integer(object, "threads");
  options.backend.device_bytes = integer(object, "deviceBytes");
  options.backend.host_bytes = integer(object, "hostBytes");
  options.max_batch = integer(object, "maxBatch");
  return options;
}

GenerateRequest to_generate_request(const Napi::Object& object) {
  GenerateRequest request;
  request.tokens = tokens(object, "tokens");
  request.max_new_tokens = integer(object, "maxNewTokens");
  request.sampling.temperature = number(object, "temperature");
  request.sampling.top_p = number(object, "topP");
  request.sampling.top_k = integer(object, "topK");
  request.sampling.min_p = number(object, "minP");
  request.sampling.repetition_penalty = number(object, "repetitionPenalty");
  request.sampling.presence_penalty = number(object, "presencePenalty");
  request.sampling.frequency_penalty = number(object, "frequencyPenalty");
  request.top_logprobs = integer(object, "topLogprobs");
  bool lossless = true;
  request.sampling.seed = object.Get("seed").As<Napi::BigInt>().Uint64Value(&lossless);
  request.stop_token_ids = tokens(object, "stopTokenIds");
  request.ignore_eos = boolean(object, "ignoreEos");
  request.reuse_scope = string(object, "reuseScope");
  return request;
}

Napi::Value to_js(Napi::Env env, std::span<const uint32_t> tokens) {
  auto array = Napi::Uint32Array::New(env, tokens.size());
  std::ranges::copy(tokens, array.Data());
  return array;
}

Napi::Value to_js(Napi::Env env, const Progress& progress) {
  auto object = Napi::Object::New(env);
  object["phase"] = progress.phase == Progress::Phase::prefill ? "prefill" : "decode";
  object["prefillTokens"] = static_cast<double>(progress.prefill_tokens);
  object["promptTokens"] = static_cast<double>(progress.prompt_tokens);
  object["generatedTokens"] = static_cast<double>(progress.generated_tokens);
  return object;
}

Napi::Value to_js(Napi::Env env, const GenerateResult& result) {
  auto object = Napi::Object::New(env);
  object["tokens"] = to_js(env, std::span<const uint32_t>(result.tokens));
  object["finishReason"] = result.finish_reason;
  object["promptTokens"] = static_cast<double>(result.prompt_tokens);
  object["cachedTokens"] = static_cast<double>(result.cached_tokens);
  object["queueMs"] = result.queue_ms;
  object["prefillMs"] = result.prefill_ms;
  object["decodeMs"] = result.decode_ms;
  object["cache"] = to_js(env, result.cache);
  object["cacheFull"] = to_js(env, result.cache_full);
  object["hitRate"] = result.hit_rate;
  if (!result.logprobs.empty()) object["logprobs"] = to_js(env, result.logprobs);
  return object;
}

Napi::Value to_js(Napi::Env env, const Plan& plan) {
  auto object = Napi::Object::New(env);
  object["cache"] = to_js(env, plan.cache);
  object["cacheFull"] = to_js(env, plan.cache_full);
  object["workspaceBytes"] = static_cast<double>(plan.workspace_bytes);
  object["fits"] = plan.fits;
  object["fitsNow"] = plan.fits_now;
  object["reason"] = plan.reason;
  return object;
}

Napi::Value to_js(Napi::Env env, const EngineStats& stats) {
  auto object = Napi::Object::New(env);
  object["waiting"] = static_cast<double>(stats.waiting);
  object["prefilling"] = static_cast<double>(stats.prefilling);
  object["decoding"] = static_cast<double>(stats.decoding);
  object["used"] = to_js(env, stats.used);
  object["capacity"] = to_js(env, stats.capacity);
  object["prefilledTokens"] = static_cast<double>(stats.prefilled_tokens);
  object["cachedTokens"] = static_cast<double>(stats.cached_tokens);
  object["decodedTokens"] = static_cast<double>(stats.decoded_tokens);
  object["prefillSeconds"] = stats.prefill_seconds;
  object["decodeSeconds"] = stats.decode_seconds;
  object["hitRate"] = stats.hit_rate;
  return object;
}

Napi::Value to_js(Napi::Env env, const ModelInfo& model) {
  const ModelConfig& config = model.config;
  auto eos = Napi::Array::New(env);
  for (const uint32_t token : config.eos_token_ids) eos[eos.Length()] = token;
  auto object = Napi::Object::New(env);
  object["vocabSize"] = static_cast<double>(config.vocab_size);
  object["hiddenSize"] = static_cast<double>(config.hidden_size);
  object["numLayers"] = static_cast<double>(config.num_layers);
  object["numHeads"] = static_cast<double>(config.num_heads);
  object["numKvHeads"] = static_cast<double>(config.num_kv_heads);
  object["headDim"] = static_cast<double>(config.head_dim);
  object["maxPositionEmbeddings"] = static_cast<double>(config.max_position_embeddings);
  object["eosTokenIds"] = eos;
  object["weightBytes"] = static_cast<double>(model.weight_bytes);
  return object;
}

Napi::Value to_js(Napi::Env env, const Inspection& inspection) {
  const ModelConfig& config = inspection.model.config;
  constexpr const char* kScalings[] = {"none", "linear", "llama3", "yarn", "longrope"};
  const auto fit = [&](const Fit& fit) {
    auto object = Napi::Object::New(env);
    object["promptTokens"] = static_cast<double>(fit.prompt_tokens);
    object["limit"] = fit.limit;
    object["cache"] = to_js(env, fit.cache);
    return object;
  };
  auto object = Napi::Object::New(env);
  object["model"] = to_js(env, inspection.model);
  object["architecture"] = config.architecture;
  object["ropeTheta"] = config.rope.theta;
  object["ropeScaling"] = kScalings[static_cast<int>(config.rope.scaling)];
  object["rotaryDim"] = static_cast<double>(config.rope.rotated_dims(config.head_dim));
  object["qkvBias"] = config.qkv_bias;
  object["qkNorm"] = config.qk_norm;
  object["tiedEmbeddings"] = config.tie_word_embeddings;
  object["loadedBytes"] = static_cast<double>(inspection.loaded_bytes);
  object["scratchBytes"] = static_cast<double>(inspection.scratch_bytes);
  object["capacity"] = to_js(env, inspection.capacity);
  object["shadowkv"] = fit(inspection.shadowkv);
  object["full"] = fit(inspection.full);
  return object;
}

Napi::Error to_js_error(Napi::Env env, const EngineError& error) {
  Napi::Error js = Napi::Error::New(env, error.what());
  js.Set("code", error.code);
  return js;
}

}  // namespace gnomon
