#include "engine/value_placement.h"

namespace gnomon {

bool prefers_host(CacheBytes on_device, CacheBytes on_host, CacheBytes in_use,
                  CacheBytes capacity) {
  if (on_host.host == 0 || on_host.host > capacity.host) return false;
  const int64_t more_on_host = (capacity.host - in_use.host) / on_host.host;
  const int64_t left = capacity.device - in_use.device - on_device.device;
  return left < more_on_host * on_host.device;
}

}  // namespace gnomon
