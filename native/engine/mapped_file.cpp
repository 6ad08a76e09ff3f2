#include "engine/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "engine/error.h"

namespace gnomon {

namespace {

[[noreturn]] void fail(const std::filesystem::path& path) {
  throw EngineError("invalid_model",
                    "cannot read " + path.string() + ": " + std::generic_category().message(errno));
}

}  // namespace

MappedFile::Descriptor::~Descriptor() {
  if (fd >= 0) ::close(fd);
}

// Not blocking: opening a named pipe would otherwise wait for a writer.
MappedFile::MappedFile(const std::filesystem::path& path)
    : file_{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)} {
  struct stat status;
  if (file_.fd < 0 || ::fstat(file_.fd, &status) != 0) fail(path);
  if (!S_ISREG(status.st_mode)) {
    throw EngineError("invalid_model", path.string() + " is not a regular file");
  }
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return;  // an empty mapping is an error to mmap
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file_.fd, 0);
  if (memory == MAP_FAILED) fail(path);
  bytes_ = {static_cast<const std::byte*>(memory), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace gnomon
