#include "cuda/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

namespace gnomon::cuda {

Suballocator::Suballocator(size_t bytes) {
  if (bytes > 0) free_[0] = bytes;
}

size_t Suballocator::take(size_t bytes) {
  bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  auto best = free_.end();
  for (auto it = free_.begin(); it != free_.end(); ++it) {
    if (it->second >= bytes && (best == free_.end() || it->second < best->second)) best = it;
  }
  if (best == free_.end()) return kNone;
  const auto [offset, available] = *best;
  free_.erase(best);
  if (available > bytes) free_[offset + bytes] = available - bytes;
  taken_[offset] = bytes;
  return offset;
}

void Suballocator::give_back(size_t offset) {
  const auto taken = taken_.find(offset);
  auto piece = free_.emplace(offset, taken->second).first;
  taken_.erase(taken);
  if (const auto next = std::next(piece);
      next != free_.end() && piece->first + piece->second == next->first) {
    piece->second += next->second;
    free_.erase(next);
  }
  if (piece == free_.begin()) return;
  if (const auto previous = std::prev(piece); previous->first + previous->second == piece->first) {
    previous->second += piece->second;
    free_.erase(piece);
  }
}

PinnedMemory::PinnedMemory(size_t bytes) : bytes_(bytes), pieces_(bytes) {
  if (bytes == 0) return;
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) {
    throw EngineError("out_of_memory",
                      "the host has no " + std::to_string(bytes >> 20) + " MiB to pin");
  }
  data_ = static_cast<std::byte*>(mapped);
  madvise(data_, bytes, MADV_HUGEPAGE);
  constexpr size_t kPage = 4096;
  const size_t threads = std::max(1u, std::thread::hardware_concurrency());
  const size_t share = (bytes / threads + kPage) / kPage * kPage;
  std::vector<std::jthread> team;
  for (size_t begin = 0; begin < bytes; begin += share) {
    team.emplace_back([this, begin, end = std::min(bytes, begin + share)] {
      for (size_t at = begin; at < end; at += kPage) data_[at] = std::byte{0};
    });
  }
  team.clear();
  const cudaError_t pinned = cudaHostRegister(data_, bytes, cudaHostRegisterDefault);
  if (pinned != cudaSuccess) {
    munmap(data_, bytes);
    CUDA_CHECK(pinned);
  }
}

PinnedMemory::~PinnedMemory() {
  if (data_ == nullptr) return;
  cudaHostUnregister(data_);
  munmap(data_, bytes_);
}

PinnedMemory::Block::Block(PinnedMemory& owner, size_t bytes) {
  if (bytes == 0) return;
  const size_t offset = owner.pieces_.take(bytes);
  if (offset == Suballocator::kNone) {
    throw EngineError("out_of_memory", "pinned host memory has no " + std::to_string(bytes >> 20) +
                                           " MiB in one piece");
  }
  owner_ = &owner;
  data_ = owner.data_ + offset;
}

PinnedMemory::Block::~Block() {
  if (owner_ != nullptr) owner_->pieces_.give_back(static_cast<size_t>(data_ - owner_->data_));
}

}  // namespace gnomon::cuda
