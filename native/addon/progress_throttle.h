#pragma once
#include <chrono>
#include <optional>
#include <utility>

#include "engine/engine.h"

namespace gnomon {

/// Thins the progress of one request to one report per interval; the newest that was held back can
/// be had at the end. One thread.
class ProgressThrottle {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::milliseconds kInterval{100};

  /// Whether `progress` is to be reported now; if not, it is held back.
  bool due(const Progress& progress, Time now) {
    if (reported_ && now - *reported_ < kInterval) {
      held_back_ = progress;
      return false;
    }
    reported_ = now;
    held_back_.reset();
    return true;
  }

  std::optional<Progress> take_held_back() { return std::exchange(held_back_, std::nullopt); }

 private:
  std::optional<Time> reported_;
  std::optional<Progress> held_back_;
};

}  // namespace gnomon
