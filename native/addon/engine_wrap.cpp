#include "addon/engine_wrap.h"

#include <utility>
#include <vector>

#include "addon/convert.h"
#include "addon/progress_throttle.h"

namespace gnomon {

namespace {

struct Parts {
  std::shared_ptr<LiveEngine> engine;
  std::shared_ptr<JsChannel> channel;
};

}  // namespace

void EngineWrap::define(Napi::Env env) {
  const Napi::Function constructor = DefineClass(
      env, "NativeEngine",
      {InstanceMethod<&EngineWrap::generate>("generate"),
       InstanceMethod<&EngineWrap::cancel>("cancel"), InstanceMethod<&EngineWrap::finish>("finish"),
       InstanceMethod<&EngineWrap::plan>("plan"), InstanceMethod<&EngineWrap::stats>("stats"),
       InstanceMethod<&EngineWrap::model>("model"), InstanceMethod<&EngineWrap::close>("close")});
  env.SetInstanceData(new Napi::FunctionReference(Napi::Persistent(constructor)));
}

Napi::Object EngineWrap::make(Napi::Env env, std::shared_ptr<LiveEngine> engine,
                              std::shared_ptr<JsChannel> channel) {
  Parts parts{std::move(engine), std::move(channel)};
  return env.GetInstanceData<Napi::FunctionReference>()->New(
      {Napi::External<Parts>::New(env, &parts)});
}

EngineWrap::EngineWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  if (!info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "use load()");
  Parts& parts = *info[0].As<Napi::External<Parts>>().Data();
  engine_ = std::move(parts.engine);
  channel_ = std::move(parts.channel);
  channel_->let_process_exit(info.Env());
}

EngineWrap::~EngineWrap() {
  if (channel_) channel_->close();
}

Napi::Value EngineWrap::generate(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Engine& engine = this->engine(env);
  const auto object = info[0].As<Napi::Object>();
  GenerateRequest request = to_generate_request(object);
  const bool want_tokens = object.Get("wantTokens").As<Napi::Boolean>();
  const uint64_t id = next_id_++;
  Request& entry = requests_[id];
  entry.events = Napi::Persistent(info[1].As<Napi::Object>());
  hold(env);
  entry.engine_id = engine.submit(std::move(request), callbacks(id, want_tokens));
  return Napi::BigInt::New(env, id);
}

void EngineWrap::cancel(const Napi::CallbackInfo& info) {
  bool lossless = true;
  const auto request = requests_.find(info[0].As<Napi::BigInt>().Uint64Value(&lossless));
  if (request == requests_.end() || engine_->get() == nullptr) return;
  engine_->get()->cancel(request->second.engine_id);
}

void EngineWrap::finish(const Napi::CallbackInfo& info) {
  bool lossless = true;
  const auto request = requests_.find(info[0].As<Napi::BigInt>().Uint64Value(&lossless));
  if (request == requests_.end() || engine_->get() == nullptr) return;
  engine_->get()->finish(request->second.engine_id);
}

Napi::Value EngineWrap::plan(const Napi::CallbackInfo& info) {
  return to_js(info.Env(), engine(info.Env())
                               .plan(info[0].As<Napi::Number>().Int64Value(),
                                     info[1].As<Napi::Number>().Int64Value()));
}

Napi::Value EngineWrap::stats(const Napi::CallbackInfo& info) {
  return to_js(info.Env(), engine(info.Env()).stats());
}

Napi::Value EngineWrap::model(const Napi::CallbackInfo& info) {
  return to_js(info.Env(), engine(info.Env()).model());
}

Napi::Value EngineWrap::close(const Napi::CallbackInfo& info) {
  engine(info.Env());
  const auto deferred = Napi::Promise::Deferred::New(info.Env());
  hold(info.Env());
  engine_->end([this, channel = channel_, deferred] {
    channel->post([this, deferred](Napi::Env env) {
      deferred.Resolve(env.Undefined());
      release(env);
    });
  });
  return deferred.Promise();
}

Engine& EngineWrap::engine(Napi::Env env) const {
  if (Engine* engine = engine_->get()) return *engine;
  throw to_js_error(env, EngineError("closed", "the engine was closed"));
}

RequestCallbacks EngineWrap::callbacks(uint64_t id, bool want_tokens) {
  const auto channel = channel_;
  const auto throttle = std::make_shared<ProgressThrottle>();
  const auto post_progress = [this, id, channel](const Progress& progress) {
    channel->post(
        [this, id, progress](Napi::Env env) { emit(id, "progress", to_js(env, progress)); });
  };
  RequestCallbacks callbacks;
  callbacks.on_progress = [throttle, post_progress](const Progress& progress) {
    if (throttle->due(progress, std::chrono::steady_clock::now())) post_progress(progress);
  };
  if (want_tokens) {
    callbacks.on_tokens = [this, id, channel](std::span<const uint32_t> tokens) {
      channel->post([this, id, copy = std::vector(tokens.begin(), tokens.end())](Napi::Env env) {
        emit(id, "tokens", to_js(env, std::span<const uint32_t>(copy)));
      });
    };
  }
  callbacks.on_done = [this, id, channel, throttle, post_progress](GenerateResult result) {
    if (const auto last = throttle->take_held_back()) post_progress(*last);
    channel->post([this, id, result = std::move(result)](Napi::Env env) {
      emit_last(env, id, "done", to_js(env, result));
    });
  };
  callbacks.on_error = [this, id, channel](EngineError error) {
    channel->post([this, id, error = std::move(error)](Napi::Env env) {
      emit_last(env, id, "error", to_js_error(env, error).Value());
    });
  };
  return callbacks;
}

void EngineWrap::emit(uint64_t id, const char* event, Napi::Value argument) {
  const Napi::Object events = requests_.at(id).events.Value();
  events.Get(event).As<Napi::Function>().Call(events, {argument});
}

void EngineWrap::emit_last(Napi::Env env, uint64_t id, const char* event, Napi::Value argument) {
  const Napi::Object events = requests_.at(id).events.Value();
  requests_.erase(id);
  release(env);
  events.Get(event).As<Napi::Function>().Call(events, {argument});
}

void EngineWrap::hold(Napi::Env env) {
  if (held_++ > 0) return;
  Ref();
  channel_->hold_process(env);
}

void EngineWrap::release(Napi::Env env) {
  if (--held_ > 0) return;
  channel_->let_process_exit(env);
  Unref();
}

}  // namespace gnomon
