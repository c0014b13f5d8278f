// Random requests for the simulated engine: when they come, what they ask, who is aborted when,
// over how many pages.
#pragma once

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/conform/simulated_engine.h"

namespace tenon::conform {

struct TraceRequest {
  RequestSpec spec;
  std::uint64_t arrival = 0;  // steps after the start
  std::uint64_t abort = 0;    // steps after the start; 0: never
};

struct RandomTrace {
  std::vector<TraceRequest> requests;  // in the order of arrival
  SimulatedPools pools;
  bool prefix_cache = false;
  std::uint64_t step_bound = 0;

  explicit RandomTrace(std::mt19937& random) {
    const auto below = [&random](std::uint32_t n) {
      return static_cast<std::int32_t>(random() % n);
    };
    const std::int32_t longest = 1 + below(300);
    const std::uint32_t stem = random();
    std::uint64_t arrival = 0, tokens = 0, all_pages = 0;
    std::int32_t least_pages = 0;
    for (std::int32_t i = 1 + below(8); i > 0; --i) {
      TraceRequest r;
      const std::int32_t prompt = 1 + below(static_cast<std::uint32_t>(longest));
      std::mt19937 shared(random() % 2 == 0 ? stem : random());
      for (std::int32_t t = 0; t < prompt; ++t)
        r.spec.prompt.push_back(static_cast<std::int32_t>(shared() % 250));
      r.spec.max_tokens = below(10) == 0 ? 0 : 1 + below(90);
      r.spec.ignore_eos = true;
      r.spec.sampling.seed = random();
      arrival += random() % 3 == 0 ? 0 : static_cast<std::uint64_t>(below(20));
      r.arrival = arrival;
      if (below(6) == 0) r.abort = arrival + static_cast<std::uint64_t>(below(60)) + 1;
      const std::int32_t limit = prompt + r.spec.max_tokens;
      tokens += static_cast<std::uint64_t>(limit);
      all_pages += static_cast<std::uint64_t>(pages_for_tokens(limit));
      least_pages = std::max(least_pages, pages_for_tokens(limit) + 1);
      requests.push_back(std::move(r));
    }
    pools.pages = static_cast<std::uint32_t>(least_pages + (random() % 3 == 0 ? 0 : below(12)));
    prefix_cache = random() % 2 == 0;
    if (random() % 3 == 0) {
      pools.window = 1 + below(200);
      pools.window_pages =
          static_cast<std::uint32_t>(pages_for_tokens(pools.window) + 3 + below(8));
    }
    // A step computes a token or gives pages up, and a sequence is computed again at most once for
    // each page that another takes.
    step_bound = arrival + tokens * (1 + 2 * all_pages);
  }
};

// Runs the trace; every answer must be what the request gets alone, and nothing may be left behind.
// The number of steps, or what went wrong: TENON-K010 starvation, K011 a leak, K012 another answer;
// an error of the engine keeps its id.
Result<std::uint64_t> run_trace(SimulatedEngine& simulated, const RandomTrace& trace);

}  // namespace tenon::conform
