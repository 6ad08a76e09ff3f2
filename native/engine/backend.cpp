#include "engine/backend.h"

#include "engine/error.h"

namespace gnomon {

void Backend::steer_queries(double) {
  throw EngineError("unsupported", "this backend does not steer queries");
}

void Backend::copy_cache(const SequenceCache&, SequenceCache&) {
  throw EngineError("unsupported", "this backend does not copy caches");
}

}  // namespace gnomon
