#include "core/base/profile_clock.h"

#include <cpuid.h>

#include <chrono>

namespace tenon {
namespace {

// The counter neither stops nor changes its rate.
bool counter_is_invariant() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & 1u << 8) != 0;
}

ClockScale measure() {
  ClockScale scale{counter_is_invariant(), __rdtsc(), 0};
  if (!scale.has_counter) return scale;
  constexpr std::int64_t kLong = 4'000'000;  // ns; the ends are known to some tens of them
  const std::int64_t begin = system_clock_ns();
  scale.base = __rdtsc();
  std::int64_t passed = 0;
  std::uint64_t ticks = 0;
  while (passed < kLong) {
    passed = system_clock_ns() - begin;
    ticks = __rdtsc() - scale.base;
  }
  scale.ns_per_tick = static_cast<double>(passed) / static_cast<double>(ticks);
  return scale;
}

}  // namespace

std::int64_t system_clock_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

const ClockScale& clock_scale() {
  static const ClockScale scale = measure();
  return scale;
}

}  // namespace tenon
