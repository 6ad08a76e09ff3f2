#pragma once
#include <napi.h>

#include <functional>
#include <memory>
#include <mutex>

namespace gnomon {

/// The one way from other threads back to JavaScript. It keeps itself alive until it is closed, by
/// its owner or by the end of its JavaScript environment.
class JsChannel {
 public:
  /// Runs on the JavaScript thread; may be destroyed on any, so it holds no JavaScript reference.
  using Task = std::function<void(Napi::Env)>;

  /// JavaScript thread. Starts out holding the process.
  static std::shared_ptr<JsChannel> open(Napi::Env env);

  /// Any thread; never blocks. Tasks run in the order of posting; once closed they are dropped.
  void post(Task task);

  // JavaScript thread.
  void hold_process(Napi::Env env) { function_.Ref(env); }
  void let_process_exit(Napi::Env env) { function_.Unref(env); }
  void close();

 private:
  static void run(Napi::Env env, Napi::Function, JsChannel*, Task* task);
  using Function = Napi::TypedThreadSafeFunction<JsChannel, Task, &JsChannel::run>;

  explicit JsChannel(Napi::Env env) : env_(env) {}

  Napi::Env env_;
  Function function_;
  std::mutex mutex_;                 // a call must not meet the release of function_
  std::shared_ptr<JsChannel> self_;  // empty once closed
};

}  // namespace gnomon
