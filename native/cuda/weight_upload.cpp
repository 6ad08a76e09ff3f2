#include "cuda/weight_upload.h"

#include <cuda_fp16.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

namespace gnomon::cuda {

namespace {

constexpr int64_t kUploadElements = (int64_t{8} << 20) / sizeof(Element);
constexpr unsigned kMostThreads = 8;
constexpr size_t kQueuedPieces = 64;

void read_file(const HostTensor& tensor, int64_t first_byte, size_t bytes, std::byte* out) {
  for (size_t done = 0; done < bytes;) {
    const ssize_t got = ::pread(tensor.file, out + done, bytes - done,
                                tensor.offset + first_byte + static_cast<int64_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      const std::string why =
          got == 0 ? "its file ends early" : std::generic_category().message(errno);
      throw EngineError("invalid_model", "tensor " + tensor.name + " cannot be read: " + why);
    }
    done += static_cast<size_t>(got);
  }
}

template <typename From, typename ToFloat>
void convert(const std::byte* data, int64_t count, ToFloat to_float, Element* out) {
  for (int64_t i = 0; i < count; ++i) {
    From value;
    std::memcpy(&value, data + i * sizeof(value), sizeof(value));
    out[i] = to_element(to_float(value));
  }
}

/// Elements [first, first + count) of the tensor.
void read_elements(const HostTensor& tensor, int64_t first, int64_t count, Element* out) {
  const int64_t from = first * static_cast<int64_t>(dtype_bytes(tensor.dtype));
  const std::byte* data = tensor.data + from;
  if (tensor.dtype == kElementDType) {
    const size_t bytes = count * sizeof(*out);
    auto* target = reinterpret_cast<std::byte*>(out);
    if (tensor.file >= 0) {
      read_file(tensor, from, bytes, target);
    } else {
      std::memcpy(target, data, bytes);
    }
    return;
  }
  switch (tensor.dtype) {
    case DType::bf16:
      return convert<__nv_bfloat16>(
          data, count, [](__nv_bfloat16 value) { return __bfloat162float(value); }, out);
    case DType::f16:
      return convert<__half>(
          data, count, [](__half value) { return __half2float(value); }, out);
    case DType::f32:
      return convert<float>(
          data, count, [](float value) { return value; }, out);
  }
}

}  // namespace

/// What one thread sends with.
class WeightUpload::Lane {
 public:
  Lane() {
    CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    for (Slot& slot : slots_) {
      CUDA_CHECK(cudaMallocHost(&slot.data, kUploadElements * sizeof(Element)));
      CUDA_CHECK(cudaEventCreateWithFlags(&slot.sent, cudaEventDisableTiming));
    }
  }
  ~Lane() {
    cudaStreamSynchronize(stream_);
    for (Slot& slot : slots_) {
      cudaEventDestroy(slot.sent);
      cudaFreeHost(slot.data);
    }
    cudaStreamDestroy(stream_);
  }
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  void send(Piece piece) {
    Slot& slot = slots_[turn_++ % 2];
    CUDA_CHECK(cudaEventSynchronize(slot.sent));
    read_elements(*piece.tensor, piece.first, piece.count, slot.data);
    CUDA_CHECK(cudaMemcpyAsync(piece.out, slot.data, piece.count * sizeof(*piece.out),
                               cudaMemcpyHostToDevice, stream_));
    CUDA_CHECK(cudaEventRecord(slot.sent, stream_));
    slot.target = std::move(piece.target);
  }
  void wait() { CUDA_CHECK(cudaStreamSynchronize(stream_)); }

 private:
  struct Slot {
    Element* data = nullptr;
    cudaEvent_t sent = nullptr;
    std::shared_ptr<DeviceBlock> target;  // of the copy under way
  };
  Slot slots_[2];
  cudaStream_t stream_ = nullptr;
  uint64_t turn_ = 0;
};

WeightUpload::WeightUpload() {
  CUDA_CHECK(cudaGetDevice(&device_));
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  for (unsigned i = 0; i < std::min(cores, kMostThreads); ++i) {
    threads_.emplace_back([this] { run(); });
  }
}

WeightUpload::~WeightUpload() { join(); }

void WeightUpload::add(const HostTensor& tensor, std::shared_ptr<DeviceBlock> target,
                       int64_t first) {
  const auto shared = std::make_shared<const HostTensor>(tensor);
  const int64_t count = tensor.count();
  for (int64_t done = 0; done < count; done += kUploadElements) {
    const int64_t size = std::min(kUploadElements, count - done);
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return error_ || queue_.size() < kQueuedPieces; });
    if (error_) std::rethrow_exception(error_);
    queue_.push_back({shared, done, size, target, target->as<Element>() + first + done});
    wake_.notify_one();
  }
}

void WeightUpload::finish() {
  join();
  if (error_) std::rethrow_exception(error_);
}

void WeightUpload::join() {
  {
    std::lock_guard lock(mutex_);
    finishing_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void WeightUpload::run() noexcept {
  try {
    CUDA_CHECK(cudaSetDevice(device_));
    Lane lane;
    while (auto piece = take()) lane.send(std::move(*piece));
    lane.wait();
  } catch (...) {
    std::lock_guard lock(mutex_);
    if (!error_) error_ = std::current_exception();
    queue_.clear();
    room_.notify_all();
  }
}

std::optional<WeightUpload::Piece> WeightUpload::take() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] { return finishing_ || error_ || !queue_.empty(); });
  if (error_ || queue_.empty()) return std::nullopt;
  Piece piece = std::move(queue_.front());
  queue_.pop_front();
  room_.notify_one();
  return piece;
}

}  // namespace gnomon::cuda
