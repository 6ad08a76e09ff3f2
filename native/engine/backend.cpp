#include "engine/backend.h"

#include <numeric>

#include "engine/error.h"

namespace gnomon {

std::vector<std::vector<int64_t>> Backend::decode_parts(
    std::span<SequenceCache* const> caches) const {
  std::vector<int64_t> all(caches.size());
  std::iota(all.begin(), all.end(), 0);
  return {all};
}

void Backend::steer_queries(double) {
  throw EngineError("unsupported", "this backend does not steer queries");
}

void Backend::copy_cache(const SequenceCache&, SequenceCache&) {
  throw EngineError("unsupported", "this backend does not copy caches");
}

}  // namespace gnomon
