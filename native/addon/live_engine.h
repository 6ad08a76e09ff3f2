#pragma once
#include <functional>
#include <memory>

#include "engine/engine.h"

namespace gnomon {

/// An engine with one end, whichever comes first: close, garbage collection, exit of its
/// JavaScript environment, exit of the process.
class LiveEngine {
 public:
  explicit LiveEngine(std::unique_ptr<Engine> engine);
  ~LiveEngine() { end(); }
  LiveEngine(const LiveEngine&) = delete;
  LiveEngine& operator=(const LiveEngine&) = delete;

  /// Null once ended.
  Engine* get() const { return engine_.get(); }

  /// Returns at once. Requests end with `closed`; then, on a thread of its own, since giving back
  /// gigabytes takes a while, the engine is destroyed and on_ended called. Later calls do nothing.
  void end(std::function<void()> on_ended = [] {});

 private:
  friend struct LiveEngines;
  std::unique_ptr<Engine> engine_;
};

}  // namespace gnomon
