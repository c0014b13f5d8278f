// Handles of tensors that are given back by themselves, on every way out of a function.
#pragma once

#include <array>
#include <cstddef>
#include <utility>

#include "tenon/sdk/tables.hpp"

namespace tenon::sdk {

// Room for the N outputs of one op. What has come into it is released when it goes, unless it was
// taken. `ops` outlives it. Use within a step, on the thread that runs the step.
template <std::size_t N = 1>
class Tensors {
 public:
  explicit Tensors(const OpsService& ops) : ops_(&ops) {}
  Tensors(const Tensors&) = delete;
  Tensors& operator=(const Tensors&) = delete;
  ~Tensors() { release(); }

  // Where an op writes its outputs; nothing may be held at that time.
  tenon_tensor** out() { return handles_.data(); }
  tenon_tensor* operator[](std::size_t i) const { return handles_[i]; }
  // The caller owns the handle from now on.
  tenon_tensor* take(std::size_t i = 0) { return std::exchange(handles_[i], nullptr); }
  // Now, so that later ops of the step can use the memory.
  void release() {
    for (tenon_tensor*& handle : handles_)
      if (handle != nullptr) ops_->release(std::exchange(handle, nullptr));
  }
  static constexpr std::uint32_t size() { return N; }

 private:
  const OpsService* ops_;
  std::array<tenon_tensor*, N> handles_{};
};

}  // namespace tenon::sdk
