#pragma once
#include <cstddef>
#include <filesystem>
#include <span>

namespace gnomon {

/// A regular file, open and mapped read-only for as long as this lives. Nothing may shorten it
/// meanwhile.
class MappedFile {
 public:
  /// Throws EngineError invalid_model with the path where it cannot be opened.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }
  /// For reads, which many threads do faster than they fault pages in.
  int descriptor() const { return file_.fd; }

 private:
  struct Descriptor {
    int fd;
    ~Descriptor();
  };
  Descriptor file_;
  std::span<const std::byte> bytes_;
};

}  // namespace gnomon
