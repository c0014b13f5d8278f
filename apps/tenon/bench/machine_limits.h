// What this machine can do at most: the roof of a measurement, measured beside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/error.h"

namespace tenon::app {

// One multiply-add counts as two operations.
struct Throughput {
  unsigned threads = 1;
  double read = 0;      // bytes a second from memory
  double int8_ops = 0;  // products of bytes, summed
  double f32_ops = 0;   // fused multiply-adds
};

struct MachineLimits {
  std::string cpu;  // what the system calls the processor
  std::string isa;  // "avx512vnni" or "avx2"
  Throughput one, all;
};

// The best that this machine has, of the two names above.
std::string best_isa();

// larger than the last cache of most machines
inline constexpr std::size_t kReadBuffer = std::size_t{512} << 20;

// The best of a few short runs: under a second in all. `threads`: of `all`. The buffer that is read
// has `read_bytes`. TENON-A090: no memory for it. `isa` that the machine does not have: the best.
Result<MachineLimits> measure_limits(const std::string& isa, unsigned threads,
                                     std::size_t read_bytes = kReadBuffer);

}  // namespace tenon::app
