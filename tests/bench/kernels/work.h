// What a benchmark of an op knows about itself, and the counters that follow from it.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>
#include <string>

#include "apps/tenon/bench/machine_limits.h"

namespace tenon::bench {

struct Setup {
  std::uint32_t threads = 1;
  bool smoke = false;                // one tiny iteration of each, to see that they work
  std::size_t streamed = 160 << 20;  // bytes of operands that no cache keeps
};

// One instruction set, and the limits of this machine with it and the threads of the run.
struct Target {
  std::string isa;
  app::Throughput limits;
};

// Of one call.
struct Work {
  double bytes = 0;  // read from weights, or keys and values
  bool in_cache = false;
  double int8_ops = 0, f32_ops = 0;
};

// GB/s, Gop/s, and of_limit: how much of the time the machine's limits alone would take. Nothing
// bounds what is in a cache but its operations.
void set_counters(benchmark::State& state, const Work& work, const Target& target);

void add_linear_benchmarks(const Setup& setup, const Target& target);
void add_attend_benchmarks(const Setup& setup, const Target& target);
void add_token_benchmarks(const Setup& setup, const Target& target);  // gather, sample

// Registers under "NAME/ISA"; with several threads time is that of the clock, else the processor's.
benchmark::internal::Benchmark* add(const Setup& setup, const Target& target,
                                    const std::string& name,
                                    const std::function<void(benchmark::State&)>& run);

}  // namespace tenon::bench
