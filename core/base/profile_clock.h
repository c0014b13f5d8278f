// The clock of profiles: nanoseconds from an arbitrary moment. The processor's counter where it
// runs at one rate, which takes a third of the time that asking the system does.
#pragma once

#include <cstdint>

#include <immintrin.h>

namespace tenon {

struct ClockScale {
  bool has_counter = false;
  std::uint64_t base = 0;
  double ns_per_tick = 0;
};
// Measured once, in a few milliseconds. Thread-safe.
const ClockScale& clock_scale();
std::int64_t system_clock_ns();

inline std::int64_t clock_ns() {
  const ClockScale& scale = clock_scale();
  if (!scale.has_counter) return system_clock_ns();
  return static_cast<std::int64_t>(static_cast<double>(__rdtsc() - scale.base) * scale.ns_per_tick);
}

}  // namespace tenon
