#include "cpu/memory_block.h"

#include <sys/mman.h>

#include <cstdlib>
#include <string>

#include "engine/error.h"

namespace gnomon::cpu {

namespace {
constexpr int64_t kCacheLine = 64;
constexpr int64_t kHugePage = int64_t{2} << 20;
}  // namespace

MemoryBlock::MemoryBlock(int64_t bytes) {
  if (bytes == 0) return;
  const bool large = bytes >= 2 * kHugePage;
  void* data = nullptr;
  if (posix_memalign(&data, large ? kHugePage : kCacheLine, bytes) != 0) {
    throw EngineError("out_of_memory", "cannot allocate " + std::to_string(bytes) + " bytes");
  }
#ifdef MADV_HUGEPAGE
  if (large) madvise(data, bytes, MADV_HUGEPAGE);
#endif
  data_.reset(static_cast<std::byte*>(data));
}

void MemoryBlock::Free::operator()(std::byte* data) const { std::free(data); }

}  // namespace gnomon::cpu
