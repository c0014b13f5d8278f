// Memory for weights in a backend's packed form: in large pages where the system has them, since a
// step reads all of it, and read only once it is filled.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "core/base/error.h"

namespace tenon {

class PackedMemory {
 public:
  PackedMemory() = default;
  // `bytes` of zeros at a multiple of 2 MiB; the system gives them when they are touched.
  // TENON-W001: there is no room.
  static Result<PackedMemory> reserve(std::size_t bytes);
  PackedMemory(PackedMemory&& other) noexcept { *this = std::move(other); }
  PackedMemory& operator=(PackedMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~PackedMemory();

  std::byte* data() const { return data_; }
  std::span<const std::byte> bytes() const { return {data_, bytes_}; }
  // The first `bytes` stay, and nobody writes to them any more.
  void seal(std::size_t bytes);

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace tenon
