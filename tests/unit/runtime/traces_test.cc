// Every scheduler of the tree under random traces on the real engine: no illegal plan, no leak, no
// starvation, and each request gets what it gets alone.
#include <algorithm>
#include <cstdio>

#include "tests/fixtures/random_traces.h"

namespace tenon {
namespace {

ManifestParam number(const std::string& key, std::int64_t value) { return {key, value, "test"}; }

SimulatedChoice random_fcfs(std::mt19937& random) {
  return {.scheduler = "tenon.scheduler.fcfs",
          .params = {number("max_sequences", 1 + random() % 8),
                     number("max_batch_tokens", 1 + random() % 300),
                     number("prefill_chunk", random() % 3 == 0 ? 1 + random() % 80 : 0)}};
}

SimulatedChoice random_sarathi(std::mt19937& random) {
  return {.scheduler = "tenon.scheduler.sarathi",
          .params = {number("chunk_size", 1 + random() % 100),
                     number("max_sequences", 1 + random() % 8),
                     number("tile", random() % 2 == 0 ? 0 : 1 + random() % 40),
                     {"last_chunk", std::string(random() % 2 == 0 ? "short" : "fill"), "test"},
                     {"whole_when_alone", random() % 2 == 0, "test"}}};
}

SimulatedChoice random_sarathi_serve(std::mt19937& random) {
  const auto budget = static_cast<std::int64_t>(1 + random() % (random() % 2 == 0 ? 8 : 100));
  const auto least = static_cast<std::int64_t>(1 + random() % 50);
  return {.scheduler = "tenon.scheduler.sarathi-serve",
          .params = {number("token_budget", budget),
                     number("max_sequences", 1 + random() % 8),
                     {"watermark", static_cast<double>(random() % 30) / 100, "test"},
                     number("last_budget", random() % 2 == 0 ? 0 : std::min(budget, least)),
                     number("budget_stages", 1 + random() % 5),
                     number("budget_prompt", 1 + random() % 300)}};
}

using Choose = SimulatedChoice (*)(std::mt19937&);

class Traces : public testing::TestWithParam<std::pair<const char*, Choose>> {};

TEST_P(Traces, AreLegalEndAndGiveWhatEachRequestGetsAlone) {
  std::mt19937 random(11);
  std::uint64_t steps = 0, preemptions = 0, hits = 0;
  double worst = 0;  // steps as a part of the bound
  const long traces = trace_count(1000);
  for (long i = 0; i < traces; ++i) {
    const SimulatedChoice choice = GetParam().second(random);
    const RandomTrace trace(random);
    SimulatedEngine simulated(trace.on(choice));
    const std::uint64_t took = run_trace(simulated, trace);
    ASSERT_FALSE(testing::Test::HasFailure()) << "trace " << i;
    steps += took;
    worst = std::max(worst, static_cast<double>(took) / static_cast<double>(trace.step_bound));
    preemptions += simulated.engine().stats().preemptions;
    hits += simulated.engine().stats().prefix_hit_tokens;
  }
  std::printf("%s: %ld traces, %llu steps, %llu preemptions, %llu tokens hit, %.3f of the bound\n",
              GetParam().first, traces, static_cast<unsigned long long>(steps),
              static_cast<unsigned long long>(preemptions), static_cast<unsigned long long>(hits),
              worst);
  EXPECT_GT(hits, 0u);
}

INSTANTIATE_TEST_SUITE_P(, Traces,
                         testing::Values(std::pair{"fcfs", &random_fcfs},
                                         std::pair{"sarathi", &random_sarathi},
                                         std::pair{"sarathi_serve", &random_sarathi_serve}),
                         [](const auto& info) { return std::string(info.param.first); });

// A window's pool need not hold all of a prompt: of a hit it needs what the window still reads.
TEST(SimulatedEngine, AHitLongerThanAWindowsPoolIsTaken) {
  for (const char* scheduler :
       {"tenon.scheduler.fcfs", "tenon.scheduler.sarathi", "tenon.scheduler.sarathi-serve"}) {
    SimulatedEngine simulated(
        {.scheduler = scheduler, .prefix_cache = true, .window = 64, .window_pages = 4});
    RequestSpec spec;
    spec.prompt.assign(400, 7);
    spec.max_tokens = 3;
    spec.ignore_eos = true;
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(simulated.engine().submit(spec).ok());
      const Status status = simulated.engine().run();
      ASSERT_TRUE(status.ok()) << scheduler << ": " << status.error().to_string();
      EXPECT_TRUE(simulated.is_empty());
    }
    EXPECT_EQ(simulated.engine().stats().prefix_hit_tokens, 384u) << scheduler;
  }
}

}  // namespace
}  // namespace tenon
