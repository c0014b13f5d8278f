#include "tests/bench/kernels/work.h"

#include <algorithm>

namespace tenon::bench {

void set_counters(benchmark::State& state, const Work& work, const Target& target) {
  using benchmark::Counter;
  const auto rate = [&](const char* name, double per_call) {
    if (per_call > 0) state.counters[name] = Counter(per_call, Counter::kIsIterationInvariantRate);
  };
  rate("GB/s", work.bytes * 1e-9);
  rate("Gop/s", (work.int8_ops + work.f32_ops) * 1e-9);
  const double compute =
      work.int8_ops / target.limits.int8_ops + work.f32_ops / target.limits.f32_ops;
  rate("of_limit", std::max(compute, work.in_cache ? 0 : work.bytes / target.limits.read));
}

benchmark::internal::Benchmark* add(const Setup& setup, const Target& target,
                                    const std::string& name,
                                    const std::function<void(benchmark::State&)>& run) {
  auto* made = benchmark::RegisterBenchmark((name + "/" + target.isa).c_str(), run);
  made->Unit(benchmark::kMicrosecond);
  if (setup.threads > 1) made->UseRealTime();
  if (setup.smoke) made->Iterations(1);
  return made;
}

}  // namespace tenon::bench
