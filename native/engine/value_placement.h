#pragma once
#include "engine/backend.h"

namespace gnomon {

/// Whether the values of a sequence shall go to the host (`automatic` placement): they stay in
/// device memory if that leaves room there for as many sequences alike as the host can take the
/// values of, for then no sequence keeps another one out.
///
/// `on_device` and `on_host` are what the sequence takes in either place, its prefill included.
bool prefers_host(CacheBytes on_device, CacheBytes on_host, CacheBytes in_use, CacheBytes capacity);

}  // namespace gnomon
