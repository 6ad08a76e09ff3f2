#include "engine/engine.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "engine/scheduler.h"
#include "engine/weights.h"

namespace gnomon {

namespace {

// The questions of one job come one by one, within a millisecond or so. An idle engine that began
// with the first of them would prefill their document for it alone. Short prompts do not wait.
constexpr int64_t kLongPrompt = 1024;
constexpr std::chrono::milliseconds kPatience{2};
constexpr std::chrono::milliseconds kMostPatience{20};

/// Everything the engine thread owns; made and used on it.
struct Core {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Model> model;
  std::unique_ptr<Scheduler> scheduler;

  Core(const EngineOptions& options, ModelInfo& info) {
    info.config = load_config(options.model_dir);
    check_cache_options(options.cache, info.config.key_width());
    backend = make_backend(options.device, info.config, options.backend);
    backend->check_cache_options(options.cache);
    ModelWeights weights =
        load_weights(info.config, options.model_dir, *backend, options.on_load_progress);
    info.weight_bytes = weights.bytes;
    model = std::make_unique<Model>(info.config, std::move(weights), *backend, options.max_batch);
    scheduler = std::make_unique<Scheduler>(*model, options.cache, options.max_batch);
  }
};

}  // namespace

struct Engine::Impl {
  EngineOptions options;
  ModelInfo info;
  std::thread thread;

  std::mutex mutex;  // guards everything below
  std::condition_variable wake;
  std::vector<std::unique_ptr<Sequence>> submitted;
  std::vector<uint64_t> cancelled;
  std::vector<uint64_t> finished;
  std::vector<std::function<void()>> on_closed;
  bool closing = false;
  bool closed = false;
  std::optional<EngineError> broken;  // why the device is of no use any more
  uint64_t next_id = 1;
  EngineStats stats;  // as of the last step

  // Alive from load to close; plan() only reads what never changes.
  std::unique_ptr<Core> core;

  void run(std::promise<void> loaded);
  /// Waits for the rest of what is being submitted right now.
  void await_company(std::unique_lock<std::mutex>& lock);
  /// Moves what callers left since the last step into the scheduler. False when closing.
  bool take_mail(bool idle);
  void publish_stats();
};

void Engine::Impl::run(std::promise<void> loaded) {
  try {
    core = std::make_unique<Core>(options, info);
    publish_stats();
    loaded.set_value();
  } catch (...) {
    loaded.set_exception(std::current_exception());
    return;
  }
  bool idle = true;
  while (take_mail(idle)) {
    try {
      idle = !core->scheduler->step();
    } catch (...) {
      const EngineError error = as_engine_error(std::current_exception());
      core->scheduler->fail_all(error);
      idle = true;
      std::lock_guard lock(mutex);
      broken = error;
    }
    publish_stats();
  }
  const EngineError error("closed", "the engine was closed");
  core->scheduler->fail_all(error);
  publish_stats();

  std::vector<std::unique_ptr<Sequence>> late;  // came in after the last take_mail
  std::vector<std::function<void()>> callbacks;
  {
    std::lock_guard lock(mutex);
    closed = true;
    late = std::move(submitted);
    submitted.clear();
    callbacks = std::move(on_closed);
  }
  for (const auto& sequence : late) sequence->callbacks.on_error(error);
  for (const auto& callback : callbacks) callback();
}

void Engine::Impl::await_company(std::unique_lock<std::mutex>& lock) {
  const auto is_long = [](const auto& sequence) {
    return sequence->prompt_tokens() >= kLongPrompt;
  };
  const auto until = Clock::now() + kMostPatience;
  size_t seen = 0;
  while (!closing && submitted.size() > seen && Clock::now() < until &&
         std::ranges::any_of(submitted, is_long)) {
    seen = submitted.size();
    wake.wait_for(lock, kPatience, [&] { return closing || submitted.size() > seen; });
  }
}

bool Engine::Impl::take_mail(bool idle) {
  std::vector<std::unique_ptr<Sequence>> sequences;
  std::vector<uint64_t> cancels, finishes;
  std::optional<EngineError> refusal;
  bool stop = false;
  {
    std::unique_lock lock(mutex);
    if (idle) {
      wake.wait(lock, [&] { return closing || !submitted.empty() || !cancelled.empty(); });
      await_company(lock);
    }
    sequences = std::move(submitted);
    submitted.clear();
    cancels = std::move(cancelled);
    cancelled.clear();
    finishes = std::move(finished);
    finished.clear();
    refusal = broken;
    stop = closing;
  }
  if (stop) refusal = EngineError("closed", "the engine was closed");
  for (auto& sequence : sequences) {
    if (refusal) {
      sequence->callbacks.on_error(*refusal);
    } else {
      core->scheduler->add(std::move(sequence));
    }
  }
  for (const uint64_t id : cancels) core->scheduler->cancel(id);
  for (const uint64_t id : finishes) core->scheduler->finish_early(id);
  return !stop;
}

void Engine::Impl::publish_stats() {
  const EngineStats now = core->scheduler->stats();
  std::lock_guard lock(mutex);
  stats = now;
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

std::unique_ptr<Engine> Engine::load(const EngineOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  std::promise<void> loaded;
  std::future<void> done = loaded.get_future();
  impl->thread = std::thread(
      [raw = impl.get(), promise = std::move(loaded)]() mutable { raw->run(std::move(promise)); });
  try {
    done.get();
  } catch (...) {
    impl->thread.join();
    throw;
  }
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

Engine::~Engine() {
  close([] {});
  impl_->thread.join();
}

uint64_t Engine::submit(GenerateRequest request, RequestCallbacks callbacks) {
  auto sequence = std::make_unique<Sequence>();
  sequence->request = std::move(request);
  sequence->callbacks = std::move(callbacks);
  sequence->submitted = Clock::now();
  std::unique_lock lock(impl_->mutex);
  const uint64_t id = impl_->next_id++;
  sequence->id = id;
  if (impl_->closed) {
    lock.unlock();
    sequence->callbacks.on_error(EngineError("closed", "the engine was closed"));
    return id;
  }
  impl_->submitted.push_back(std::move(sequence));
  lock.unlock();
  impl_->wake.notify_one();
  return id;
}

void Engine::cancel(uint64_t id) {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->cancelled.push_back(id);
  }
  impl_->wake.notify_one();
}

void Engine::finish(uint64_t id) {
  std::lock_guard lock(impl_->mutex);
  impl_->finished.push_back(id);  // an idle engine has nothing to finish: no need to wake it
}

void Engine::close(std::function<void()> on_closed) {
  bool already = false;
  {
    std::lock_guard lock(impl_->mutex);
    already = impl_->closed;
    if (!already) {
      impl_->closing = true;
      impl_->on_closed.push_back(std::move(on_closed));
    }
  }
  if (already) {
    on_closed();
  } else {
    impl_->wake.notify_one();
  }
}

Plan Engine::plan(int64_t prompt_tokens, int64_t max_new_tokens) const {
  const EngineStats now = stats();
  return impl_->core->scheduler->plan(prompt_tokens, max_new_tokens, now.used,
                                      now.waiting + now.prefilling + now.decoding);
}

EngineStats Engine::stats() const {
  std::lock_guard lock(impl_->mutex);
  EngineStats now = impl_->stats;
  now.waiting += static_cast<int64_t>(impl_->submitted.size());
  return now;
}

const ModelInfo& Engine::model() const { return impl_->info; }

}  // namespace gnomon
