// A loop over the engine's threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tenon/sdk/tables.hpp"

namespace tenon::sdk {

// Runs f(i) for i in [0, count) after everything that was submitted before, and waits for it. f may
// not allocate or throw, and must not care who runs which i.
template <class F>
void parallel(const ThreadsService& threads, std::int64_t count, const F& f) {
  struct Args {
    const F* f;
    std::int64_t count;
  };
  const Args args{&f, count};
  const auto run = [](const void* raw, std::uint32_t stripe, std::uint32_t stripes, std::uint32_t) {
    const auto& args = *static_cast<const Args*>(raw);
    for (std::int64_t i = args.count * stripe / stripes; i < args.count * (stripe + 1) / stripes;
         ++i)
      (*args.f)(i);
  };
  const std::int64_t stripes =
      std::min<std::int64_t>(count, std::int64_t{threads.count()} * threads.stripes_per_thread());
  if (count > 0) threads.submit(run, &args, sizeof args, static_cast<std::uint32_t>(stripes));
  threads.wait();
}

}  // namespace tenon::sdk
