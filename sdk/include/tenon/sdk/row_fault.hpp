// What a backend answers take_fault() with: the first row that was no numbers.
#pragma once

#include <atomic>
#include <cstdint>

#include "tenon/abi/backend.h"

namespace tenon::sdk {

class RowFaults {
 public:
  // Any thread. A later row than the first is not kept.
  void note(std::uint32_t group, std::int64_t row) {
    std::uint64_t none = 0;
    word_.compare_exchange_strong(none,
                                  std::uint64_t{group} << 32 | static_cast<std::uint32_t>(row + 1));
  }
  void take(tenon_row_fault* out) {
    const std::uint64_t word = word_.exchange(0);
    out->group = static_cast<std::uint32_t>(word >> 32);
    out->row = static_cast<std::int32_t>(word & 0xffffffff) - 1;
  }

 private:
  std::atomic<std::uint64_t> word_{0};
};

template <class Real>
bool all_finite(const Real* x, std::int64_t n) {
  bool finite = true;
  for (std::int64_t i = 0; i < n; ++i) finite &= x[i] - x[i] == 0;
  return finite;
}

}  // namespace tenon::sdk
