#pragma once
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "cuda/check.h"

namespace gnomon::cuda {

/// Device memory of one owner.
class DeviceBlock {
 public:
  DeviceBlock() = default;
  /// Throws out_of_memory.
  explicit DeviceBlock(size_t bytes) {
    if (bytes > 0) CUDA_CHECK(cudaMalloc(&data_, bytes));
  }
  DeviceBlock(DeviceBlock&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  DeviceBlock& operator=(DeviceBlock&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  ~DeviceBlock() { cudaFree(data_); }

  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
};

/// One range of address space handed out in pieces: best fit, neighbours merged when freed. Knows
/// offsets only.
class Suballocator {
 public:
  explicit Suballocator(size_t bytes);

  static constexpr size_t kAlignment = 4096;
  static constexpr size_t kNone = ~size_t{0};

  /// Offset of a free piece, or kNone.
  size_t take(size_t bytes);
  void give_back(size_t offset);

 private:
  std::map<size_t, size_t> free_;   // offset → bytes
  std::map<size_t, size_t> taken_;  // offset → bytes
};

/// Pinned host memory, mapped into the device's address space. Taken from the system once, touched
/// by many threads at a time (a page fault a page is what makes pinning slow), then sub-allocated.
class PinnedMemory {
 public:
  /// Throws out_of_memory.
  explicit PinnedMemory(size_t bytes);
  ~PinnedMemory();
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;

  size_t bytes() const { return bytes_; }

  /// A piece that returns to its memory by itself.
  class Block {
   public:
    Block() = default;
    Block(PinnedMemory& owner, size_t bytes);
    Block(Block&& other) noexcept { swap(other); }
    Block& operator=(Block&& other) noexcept {
      swap(other);
      return *this;
    }
    ~Block();

    template <typename T>
    T* as() const {
      return reinterpret_cast<T*>(data_);
    }

   private:
    void swap(Block& other) noexcept {
      std::swap(owner_, other.owner_);
      std::swap(data_, other.data_);
    }
    PinnedMemory* owner_ = nullptr;
    std::byte* data_ = nullptr;
  };

 private:
  std::byte* data_ = nullptr;
  size_t bytes_;
  Suballocator pieces_;
};

}  // namespace gnomon::cuda
