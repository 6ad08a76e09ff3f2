#include "addon/live_engine.h"

#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

namespace gnomon {

/// `process.exit()` runs no clean-up hook of Node's main environment, but it destroys static
/// objects, of CUDA among others, which no engine thread may outlive.
struct LiveEngines {
  std::mutex mutex;
  std::condition_variable ended;
  std::set<LiveEngine*> live;
  int ending = 0;

  static LiveEngines& instance() {
    static LiveEngines* const engines = [] {
      std::atexit([] { instance().end_all(); });
      return new LiveEngines;  // never destroyed: threads may still use it during exit
    }();
    return *engines;
  }

  void end_all() {
    std::vector<std::unique_ptr<Engine>> engines;
    std::unique_lock lock(mutex);
    for (LiveEngine* engine : live) engines.push_back(std::move(engine->engine_));
    live.clear();
    lock.unlock();
    engines.clear();
    lock.lock();
    ended.wait(lock, [&] { return ending == 0; });
  }
};

LiveEngine::LiveEngine(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {
  LiveEngines& engines = LiveEngines::instance();
  std::lock_guard lock(engines.mutex);
  engines.live.insert(this);
}

void LiveEngine::end(std::function<void()> on_ended) {
  LiveEngines& engines = LiveEngines::instance();
  std::unique_ptr<Engine> engine;
  {
    std::lock_guard lock(engines.mutex);
    if (!engine_) return;
    engine = std::move(engine_);
    engines.live.erase(this);
    ++engines.ending;
  }
  engine->close([] {});
  std::thread([&engines, engine = std::move(engine), on_ended = std::move(on_ended)]() mutable {
    engine.reset();
    on_ended();
    std::lock_guard lock(engines.mutex);
    --engines.ending;
    engines.ended.notify_all();
  }).detach();
}

}  // namespace gnomon
