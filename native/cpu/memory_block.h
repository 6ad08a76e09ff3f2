#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

namespace gnomon::cpu {

/// Uninitialised memory, aligned for vectors; large blocks ask for huge pages, because sparse
/// attention reads them at random and products stream through them.
class MemoryBlock {
 public:
  MemoryBlock() = default;
  /// Throws out_of_memory.
  explicit MemoryBlock(int64_t bytes);

  std::byte* data() const { return data_.get(); }
  float* floats() const { return reinterpret_cast<float*>(data_.get()); }

 private:
  struct Free {
    void operator()(std::byte* data) const;
  };
  std::unique_ptr<std::byte, Free> data_;
};

/// Hands out consecutive arrays of a block. Without a block it only measures.
class Arena {
 public:
  explicit Arena(std::byte* base) : base_(base) {}

  template <typename T>
  T* take(int64_t count) {
    const int64_t offset = used_;
    used_ += (count * static_cast<int64_t>(sizeof(T)) + kAlign - 1) / kAlign * kAlign;
    return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + offset);
  }
  int64_t used() const { return used_; }

 private:
  static constexpr int64_t kAlign = 64;
  std::byte* base_;
  int64_t used_ = 0;
};

}  // namespace gnomon::cpu
