#include <napi.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <thread>
#include <utility>

#include "addon/convert.h"
#include "addon/engine_wrap.h"
#include "addon/js_channel.h"
#include "addon/live_engine.h"

namespace gnomon {

namespace {

void choose_rank(EngineOptions& options) {
  options.cache.rank = default_rank(load_config(options.model_dir).key_width());
}

/// architectures(): the names a config.json may hold.
Napi::Value architectures(const Napi::CallbackInfo& info) {
  auto names = Napi::Array::New(info.Env());
  for (const std::string& name : supported_architectures()) names[names.Length()] = name;
  return names;
}

/// inspect(options, maxNewTokens): a promise of what is in a model directory.
Napi::Value inspect_model(const Napi::CallbackInfo& info) {
  const auto object = info[0].As<Napi::Object>();
  EngineOptions options = to_engine_options(object);
  const bool chooses = object.Get("chooseRank").As<Napi::Boolean>();
  const int64_t new_tokens = info[1].As<Napi::Number>().Int64Value();
  const auto deferred = Napi::Promise::Deferred::New(info.Env());
  const auto channel = JsChannel::open(info.Env());

  std::thread([options = std::move(options), chooses, new_tokens, deferred, channel]() mutable {
    try {
      if (chooses) choose_rank(options);
      channel->post([found = inspect(options, new_tokens), deferred, channel](Napi::Env env) {
        deferred.Resolve(to_js(env, found));
        channel->close();
      });
    } catch (...) {
      channel->post(
          [error = as_engine_error(std::current_exception()), deferred, channel](Napi::Env env) {
            deferred.Reject(to_js_error(env, error).Value());
            channel->close();
          });
    }
  }).detach();
  return deferred.Promise();
}

/// load(options): a promise of the engine. Loading reads gigabytes, so it has a thread of its own
/// and leaves libuv's few alone.
Napi::Value load(const Napi::CallbackInfo& info) {
  const auto object = info[0].As<Napi::Object>();
  EngineOptions options = to_engine_options(object);
  const bool chooses = object.Get("chooseRank").As<Napi::Boolean>();
  const auto deferred = Napi::Promise::Deferred::New(info.Env());
  const auto channel = JsChannel::open(info.Env());

  std::thread([options = std::move(options), chooses, deferred, channel]() mutable {
    try {
      if (chooses) choose_rank(options);
      const auto engine = std::make_shared<LiveEngine>(Engine::load(options));
      channel->post([engine, deferred, channel, rank = options.cache.rank](Napi::Env env) {
        Napi::Object wrap = EngineWrap::make(env, engine, channel);
        wrap["rank"] = static_cast<double>(rank);
        deferred.Resolve(wrap);
      });
    } catch (...) {
      channel->post(
          [error = as_engine_error(std::current_exception()), deferred, channel](Napi::Env env) {
            deferred.Reject(to_js_error(env, error).Value());
            channel->close();
          });
    }
  }).detach();
  return deferred.Promise();
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  EngineWrap::define(env);
  exports.Set("architectures", Napi::Function::New<architectures>(env, "architectures"));
  exports.Set("inspect", Napi::Function::New<inspect_model>(env, "inspect"));
  exports.Set("load", Napi::Function::New<load>(env, "load"));
  return exports;
}

}  // namespace

}  // namespace gnomon

// The macros want a name without a namespace.
static Napi::Object init_addon(Napi::Env env, Napi::Object exports) {
  return gnomon::init(env, exports);
}
NODE_API_MODULE(gnomon, init_addon)
