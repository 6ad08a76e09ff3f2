#include "addon/js_channel.h"

#include <utility>

namespace gnomon {

namespace {

void close_at_environment_exit(void* channel) { static_cast<JsChannel*>(channel)->close(); }

}  // namespace

std::shared_ptr<JsChannel> JsChannel::open(Napi::Env env) {
  std::shared_ptr<JsChannel> channel(new JsChannel(env));
  channel->function_ = Function::New(env, "gnomon", 0, 1, channel.get());
  channel->self_ = channel;
  // After New: hooks run in reverse, so this one comes before that of the function.
  napi_add_env_cleanup_hook(env, close_at_environment_exit, channel.get());
  return channel;
}

void JsChannel::post(Task task) {
  auto owned = std::make_unique<Task>(std::move(task));
  std::lock_guard lock(mutex_);
  if (self_ && function_.NonBlockingCall(owned.get()) == napi_ok) owned.release();
}

void JsChannel::close() {
  std::shared_ptr<JsChannel> self;  // released after the lock
  std::lock_guard lock(mutex_);
  if (!self_) return;
  self = std::move(self_);
  napi_remove_env_cleanup_hook(env_, close_at_environment_exit, this);
  function_.Release();
}

void JsChannel::run(Napi::Env env, Napi::Function, JsChannel*, Task* task) {
  const std::unique_ptr<Task> owned(task);
  if (env == nullptr) return;  // the environment is gone; nobody is left to tell
  (*owned)(env);
}

}  // namespace gnomon
