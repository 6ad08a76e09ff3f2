#pragma once
#include <napi.h>

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "addon/js_channel.h"
#include "addon/live_engine.h"

namespace gnomon {

/// NativeEngine of native/binding.ts. JavaScript thread only. While it has requests it is kept from
/// garbage collection and the process from exit; idle, it keeps neither.
class EngineWrap : public Napi::ObjectWrap<EngineWrap> {
 public:
  /// Makes the class known to this environment.
  static void define(Napi::Env env);
  /// Takes over a channel that holds the process.
  static Napi::Object make(Napi::Env env, std::shared_ptr<LiveEngine> engine,
                           std::shared_ptr<JsChannel> channel);

  explicit EngineWrap(const Napi::CallbackInfo& info);
  ~EngineWrap() override;

 private:
  struct Request {
    Napi::ObjectReference events;
    uint64_t engine_id = 0;
  };

  Napi::Value generate(const Napi::CallbackInfo& info);
  void cancel(const Napi::CallbackInfo& info);
  void finish(const Napi::CallbackInfo& info);
  Napi::Value plan(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  Napi::Value model(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  Engine& engine(Napi::Env env) const;  // throws `closed`
  RequestCallbacks callbacks(uint64_t id, bool want_tokens);
  void emit(uint64_t id, const char* event, Napi::Value argument);
  void emit_last(Napi::Env env, uint64_t id, const char* event, Napi::Value argument);
  void hold(Napi::Env env);
  void release(Napi::Env env);

  std::shared_ptr<LiveEngine> engine_;
  std::shared_ptr<JsChannel> channel_;
  // Callbacks carry an id and find the request here: they may be destroyed on the engine thread,
  // where no JavaScript reference may be.
  std::unordered_map<uint64_t, Request> requests_;
  uint64_t next_id_ = 0;
  int held_ = 0;
};

}  // namespace gnomon
