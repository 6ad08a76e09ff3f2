#pragma once
#include <string>

#include "engine/backend.h"

namespace gnomon {

/// Who has how much of the backend's memory. Everything is entered before it is allocated, so that
/// no allocation fails half way through a sequence.
class MemoryLedger {
 public:
  MemoryLedger(CacheBytes capacity, bool unified) : capacity_(capacity), unified_(unified) {}

  void add(CacheBytes bytes);
  void remove(CacheBytes bytes);

  /// Whether `bytes` fit beside what is in use; `use` {} asks about an empty engine.
  bool fits(CacheBytes bytes, CacheBytes in_use) const { return refusal(bytes, in_use).empty(); }
  /// Why they do not fit, with the numbers; empty if they do.
  std::string refusal(CacheBytes bytes, CacheBytes in_use) const;

  CacheBytes used() const { return used_; }
  CacheBytes capacity() const { return capacity_; }

 private:
  CacheBytes capacity_;
  bool unified_;  // host bytes come out of `device` capacity
  CacheBytes used_;
};

}  // namespace gnomon
