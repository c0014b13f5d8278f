// Tensor handles and the pool that recycles their memory in stream order.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "tenon/abi/abi.h"

namespace tenon {

class TensorPool;
inline constexpr int kMaxRank = 2;  // rows x values is all that an activation needs so far

}  // namespace tenon

// A counted handle. Contiguous, row-major. One thread (the step's) counts and releases.
struct tenon_tensor {
  void* data = nullptr;
  tenon_dl_type dtype{};
  int rank = 0;
  std::array<std::int64_t, tenon::kMaxRank> shape{};
  std::array<std::int64_t, tenon::kMaxRank> strides{};
  tenon_dl_device device{};
  std::uint32_t references = 0;
  std::uint32_t size_class = 0;
  tenon::TensorPool* pool = nullptr;

  tenon_view view() { return {data, device, rank, dtype, shape.data(), strides.data(), 0}; }
};

namespace tenon {

using Tensor = tenon_tensor;

struct TensorShape {
  tenon_dl_type dtype{};
  int rank = 0;
  std::array<std::int64_t, kMaxRank> shape{};
};

inline constexpr tenon_dl_type kInt32{0, 32, 1};

// Where the pool gets memory; a backend's allocate and free.
struct DeviceMemory {
  void* ctx = nullptr;
  void* (*allocate)(void* ctx, std::uint64_t bytes) = nullptr;  // null when there is none left
  void (*free)(void* ctx, void* memory) = nullptr;
  tenon_dl_device device{};
};

// Blocks by power-of-two size class. A released block may be given out at once: the next op that
// writes it comes later in the stream than every op that reads it. Steady steps find all their
// blocks here and allocate nothing.
class TensorPool {
 public:
  explicit TensorPool(DeviceMemory memory);
  ~TensorPool();
  TensorPool(const TensorPool&) = delete;
  TensorPool& operator=(const TensorPool&) = delete;

  // A handle with one reference. TENON-R010 when the device has no memory left.
  Result<Tensor*> make(const TensorShape& shape);
  void retain(Tensor* tensor) { ++tensor->references; }
  void release(Tensor* tensor);

  // A handle of this pool, live or not. Slow; `tensor` may point anywhere.
  bool has(const Tensor* tensor) const;
  std::uint64_t bytes() const { return bytes_; }  // taken from the device so far
  std::size_t live() const { return live_; }      // handles given out and not yet released

 private:
  static constexpr std::uint32_t kClasses = 40;
  DeviceMemory memory_;
  std::array<std::vector<Tensor*>, kClasses> free_;
  std::vector<std::unique_ptr<Tensor>> all_;
  std::uint64_t bytes_ = 0;
  std::size_t live_ = 0;
};

}  // namespace tenon
