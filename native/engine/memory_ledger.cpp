#include "engine/memory_ledger.h"

namespace gnomon {

namespace {

std::string mebibytes(int64_t bytes) {
  return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB";
}

std::string shortfall(const char* memory, int64_t need, int64_t used, int64_t capacity) {
  return "needs " + mebibytes(need) + " of " + memory + " memory, " + mebibytes(capacity - used) +
         " of " + mebibytes(capacity) + " are free";
}

}  // namespace

void MemoryLedger::add(CacheBytes bytes) {
  used_.device += bytes.device;
  used_.host += bytes.host;
}

void MemoryLedger::remove(CacheBytes bytes) {
  used_.device -= bytes.device;
  used_.host -= bytes.host;
}

std::string MemoryLedger::refusal(CacheBytes bytes, CacheBytes in_use) const {
  if (unified_) {
    const int64_t need = bytes.device + bytes.host, used = in_use.device + in_use.host;
    return used + need > capacity_.device ? shortfall("host", need, used, capacity_.device) : "";
  }
  if (in_use.device + bytes.device > capacity_.device) {
    return shortfall("device", bytes.device, in_use.device, capacity_.device);
  }
  if (in_use.host + bytes.host > capacity_.host) {
    return shortfall("host", bytes.host, in_use.host, capacity_.host);
  }
  return "";
}

}  // namespace gnomon
