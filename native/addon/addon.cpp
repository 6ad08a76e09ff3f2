#include <napi.h>

#include <algorithm>
#include <chrono>
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

/// Tells a JavaScript function of loading: at most every 100 ms, and the end. The function is
/// forgotten by a task of the same channel, so after the last report.
class LoadReports {
 public:
  LoadReports(Napi::Function function, std::shared_ptr<JsChannel> channel)
      : function_(new Napi::FunctionReference(Napi::Persistent(function))),
        channel_(std::move(channel)) {}

  void report(int64_t bytes, int64_t total_bytes) {
    const auto now = std::chrono::steady_clock::now();
    if (bytes < total_bytes && now < due_) return;
    due_ = now + std::chrono::milliseconds(100);
    channel_->post([function = function_, bytes, total_bytes](Napi::Env env) {
      auto progress = Napi::Object::New(env);
      progress["loadedBytes"] = static_cast<double>(bytes);
      progress["totalBytes"] = static_cast<double>(total_bytes);
      function->Value().Call({progress});
    });
  }

  /// JavaScript thread.
  void forget() { delete std::exchange(function_, nullptr); }

 private:
  Napi::FunctionReference* function_;  // not owned by tasks, which may die on any thread
  std::shared_ptr<JsChannel> channel_;
  std::chrono::steady_clock::time_point due_{};
};

/// load(options, onProgress): a promise of the engine. Loading reads gigabytes, so it has a thread
/// of its own and leaves libuv's few alone.
Napi::Value load(const Napi::CallbackInfo& info) {
  const auto object = info[0].As<Napi::Object>();
  EngineOptions options = to_engine_options(object);
  const bool chooses = object.Get("chooseRank").As<Napi::Boolean>();
  const auto deferred = Napi::Promise::Deferred::New(info.Env());
  const auto channel = JsChannel::open(info.Env());
  const auto reports = std::make_shared<LoadReports>(info[1].As<Napi::Function>(), channel);
  options.on_load_progress = [reports](int64_t bytes, int64_t total) {
    reports->report(bytes, total);
  };

  std::thread([options = std::move(options), chooses, deferred, channel, reports]() mutable {
    try {
      if (chooses) choose_rank(options);
      const auto engine = std::make_shared<LiveEngine>(Engine::load(options));
      channel->post([engine, deferred, channel, reports, rank = options.cache.rank](Napi::Env env) {
        reports->forget();
        Napi::Object wrap = EngineWrap::make(env, engine, channel);
        wrap["rank"] = static_cast<double>(rank);
        deferred.Resolve(wrap);
      });
    } catch (...) {
      channel->post([error = as_engine_error(std::current_exception()), deferred, channel,
                     reports](Napi::Env env) {
        reports->forget();
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
