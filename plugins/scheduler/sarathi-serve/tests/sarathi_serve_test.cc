// Sarathi-Serve on the real engine, without a model: what its steps look like (T2.1 to T2.8 of the
// method's page).
#include <map>

#include "tests/fixtures/random_traces.h"
#include "tests/fixtures/watched_plan.h"

namespace tenon {
namespace {

SimulatedChoice sarathi_serve(std::int64_t budget, std::int64_t sequences,
                              std::vector<ManifestParam> more = {}) {
  SimulatedChoice choice{.scheduler = "tenon.scheduler.sarathi-serve", .params = std::move(more)};
  choice.params.push_back({"token_budget", budget, "test"});
  choice.params.push_back({"max_sequences", sequences, "test"});
  return choice;
}

RequestSpec request(std::size_t prompt, std::int32_t answer, std::int32_t token = 1) {
  RequestSpec spec;
  spec.prompt.assign(prompt, token);
  spec.max_tokens = answer;
  spec.ignore_eos = true;
  return spec;
}

bool preempted(const tenon_plan& plan, std::uint64_t id) {
  return std::find(plan.preempt, plan.preempt + plan.n_preempt, id) !=
         plan.preempt + plan.n_preempt;
}

// What holds for every plan, by the numbers of the invariants.
void check_plan_of(const tenon_schedule_view& view, const tenon_plan& plan, std::int64_t budget) {
  const WatchedPlan watched(view, plan);
  const auto decodes = static_cast<std::int64_t>(watched.running_decodes);
  if (decodes <= budget) {  // T2.1
    for (std::uint32_t i = 0; i < view.n_running; ++i)
      if (sdk::is_decode(view.running[i])) {
        EXPECT_TRUE(watched.has(view.running[i].id) || preempted(plan, view.running[i].id))
            << "T2.1: a running decode is stalled";
      }
  }
  EXPECT_LE(watched.rows, budget) << "T2.2";
  EXPECT_TRUE(watched.decodes_first) << "T2.3";
  if (!watched.chunks.empty()) {
    EXPECT_LT(watched.decodes.size(), static_cast<std::size_t>(budget)) << "T2.3";
  }
  std::uint32_t started = 0;  // T2.4: those that start are the head of the queue, in its order
  for (const WatchedChunk& chunk : watched.chunks) {
    if (!chunk.first) {
      EXPECT_EQ(started, 0u) << "T2.4: a prompt starts before one that has been begun";
      continue;
    }
    ASSERT_LT(started, view.n_waiting);
    EXPECT_EQ(chunk.request, view.waiting[started++].id) << "T2.4";
  }
  if (decodes < budget && plan.n_preempt == 0) {  // T2.7
    for (std::uint32_t i = 0; i < view.n_running; ++i) {
      if (sdk::is_decode(view.running[i])) continue;
      EXPECT_TRUE(watched.has(view.running[i].id)) << "T2.7: the first begun prompt stands still";
      break;
    }
  }
}

TEST(SarathiServe, T2_1_to_T2_7_HoldInEveryStepOfRandomTraces) {
  std::mt19937 random(9);
  std::uint64_t preemptions = 0;
  for (long i = 0; i < trace_count(500) && !testing::Test::HasFailure(); ++i) {
    const RandomTrace trace(random);
    const std::int64_t budget = 1 + random() % (random() % 2 == 0 ? 6 : 100);
    SimulatedChoice choice = sarathi_serve(budget, 1 + random() % 8);
    SimulatedEngine simulated(trace.on(choice));
    simulated.observe_plans([&](const tenon_schedule_view& view, const tenon_plan& plan) {
      check_plan_of(view, plan, budget);
      preemptions += plan.n_preempt;
    });
    run_trace(simulated, trace);
  }
  EXPECT_GT(preemptions, 0u);  // T2.5: run_trace compares answers, also of those
}

// One step between two tokens of a sequence, while a prompt of 2048 tokens comes in.
TEST(SarathiServe, T2_1_OneStepBetweenTokens) {
  SimulatedChoice choice = sarathi_serve(64, 16);
  choice.pages = 80;
  SimulatedEngine simulated(choice);
  std::uint64_t step = 0, worst = 0;
  std::map<std::uint64_t, std::uint64_t> last;
  for (int i = 0; i < 8; ++i) {
    RequestSpec spec = request(10, 60, i + 1);
    spec.on_event = [&](const TokenEvent& event) {
      if (last.contains(event.request)) worst = std::max(worst, step - last[event.request]);
      last[event.request] = step;
    };
    ASSERT_TRUE(simulated.engine().submit(std::move(spec)).ok());
  }
  for (; step < 5; ++step) ASSERT_TRUE(simulated.engine().step().ok());
  ASSERT_EQ(last.size(), 8u);
  ASSERT_TRUE(simulated.engine().submit(request(2048, 4)).ok());
  for (bool more = true; more; ++step) {
    const auto stepped = simulated.engine().step();
    ASSERT_TRUE(stepped.ok());
    more = *stepped;
  }
  EXPECT_EQ(worst, 1u);
}

// At every boundary of its chunks, with and without others beside it and a cache behind it.
TEST(SarathiServe, T2_6_AnAbortAtAnyChunkBoundaryLeaksNothing) {
  for (const bool cache : {false, true})
    for (const std::int64_t budget : {1, 7, 64, 100})
      for (int steps = 0; steps <= 320 / budget + 4; steps += budget == 1 ? 13 : 1) {
        SimulatedChoice choice = sarathi_serve(budget, 4);
        choice.prefix_cache = cache;
        SimulatedEngine simulated(choice);
        ASSERT_TRUE(simulated.engine().submit(request(5, 6, 3)).ok());
        const auto id = simulated.engine().submit(request(300, 9));
        ASSERT_TRUE(id.ok());
        for (int i = 0; i < steps; ++i) ASSERT_TRUE(simulated.engine().step().ok());
        simulated.engine().abort(*id);
        ASSERT_TRUE(simulated.engine().run().ok());
        ASSERT_TRUE(simulated.is_empty()) << budget << ", after " << steps << " steps";
      }
}

// More comes than can be served; whoever has started goes on, in the order of arrival.
TEST(SarathiServe, T2_7_BegunPromptsProgressUnderOverload) {
  SimulatedChoice choice = sarathi_serve(8, 64);
  choice.pages = 200;
  SimulatedEngine simulated(choice);
  std::vector<std::uint64_t> finished;
  for (int i = 0; i < 60; ++i) {
    RequestSpec spec = request(100, 5, i + 1);
    spec.on_event = [&](const TokenEvent& event) {
      if (event.finish != FinishReason::kNone) finished.push_back(event.request);
    };
    ASSERT_TRUE(simulated.engine().submit(std::move(spec)).ok());
  }
  std::uint64_t steps = 0;
  for (bool more = true; more; ++steps) {
    const auto stepped = simulated.engine().step();
    ASSERT_TRUE(stepped.ok());
    more = *stepped;
  }
  EXPECT_TRUE(std::is_sorted(finished.begin(), finished.end()));
  EXPECT_EQ(finished.size(), 60u);
  EXPECT_LE(steps, 60u * 104u / 8u + 20u);  // the budget is spent in every step but the last few
}

// A sequence becomes a decode by a row of the budget, so there are never more of them than rows.
TEST(SarathiServe, T2_8_AdmissionKeepsDecodesWithinTheBudget) {
  for (const std::int64_t budget : {1, 3, 7}) {
    SimulatedChoice choice = sarathi_serve(budget, 64);
    choice.pages = 80;
    SimulatedEngine simulated(choice);
    for (int i = 0; i < 20; ++i)
      ASSERT_TRUE(simulated.engine().submit(request(static_cast<std::size_t>(1 + i), 30)).ok());
    simulated.observe_plans([&](const tenon_schedule_view& view, const tenon_plan& plan) {
      EXPECT_LE(WatchedPlan(view, plan).running_decodes, static_cast<std::size_t>(budget));
    });
    ASSERT_TRUE(simulated.engine().run().ok());
    EXPECT_TRUE(simulated.is_empty());
  }
}

// A view with more decodes than the budget, as another scheduler may leave it behind.
TEST(SarathiServe, T2_8_MoreDecodesThanBudgetAreSharedFairly) {
  constexpr std::uint32_t kDecodes = 20;
  for (const std::int64_t budget : {1, 3, 7, 19}) {
    const OpenPlugin plugin("tenon.scheduler.sarathi-serve", {{"token_budget", budget, "test"}});
    const auto scheduler = plugin.as<iface::Scheduler, tenon_scheduler_v1>(TENON_SCHEDULER_ID);
    const tenon_request_pages pages{0, 1};
    const tenon_pool_view pool{1000, 0, 1100, 0};
    std::vector<tenon_request_view> running;
    for (std::uint64_t id = 1; id <= kDecodes; ++id)
      running.push_back({id, id, 11, 10, 5, 5000, 1, 0, &pages});
    std::map<std::uint64_t, int> tokens;
    std::vector<tenon_plan_item> items(kDecodes);
    std::vector<std::uint64_t> preempt(kDecodes);
    for (int step = 0; step < 200; ++step) {
      const tenon_schedule_view view{
          {sizeof view, 0, nullptr}, nullptr, 0, kDecodes, running.data(), &pool, 1, 64};
      tenon_plan plan{
          {sizeof plan, 0, nullptr}, items.data(), 0, kDecodes, preempt.data(), 0, kDecodes};
      ASSERT_TRUE(scheduler.plan(&view, &plan).ok());
      ASSERT_EQ(plan.n_items, static_cast<std::uint32_t>(budget));
      for (tenon_request_view& r : running) ++r.idle;
      for (std::uint32_t i = 0; i < plan.n_items; ++i) {
        tenon_request_view& r = running[plan.items[i].request - 1];
        ++r.known, ++r.computed, ++tokens[r.id], r.idle = 0;
        r.held_pages = pages_for_tokens(r.known);
      }
      for (const tenon_request_view& r : running)
        ASSERT_LE(r.idle, (kDecodes + budget - 1) / budget) << "request " << r.id;
    }
    int least = 1000, most = 0;
    for (const auto& [id, count] : tokens) {
      least = std::min(least, count);
      most = std::max(most, count);
    }
    EXPECT_EQ(tokens.size(), kDecodes);
    EXPECT_LE(most - least, 1);
  }
}

TEST(SarathiServe, AdmissionHoldsPagesForTheWholePromptAndTheWatermark) {
  SimulatedChoice choice = sarathi_serve(16, 8, {{"watermark", 0.2, "test"}});
  choice.pages = 10;
  SimulatedEngine simulated(choice);
  ASSERT_TRUE(simulated.engine().submit(request(300, 4)).ok());     // five pages
  ASSERT_TRUE(simulated.engine().submit(request(250, 4, 2)).ok());  // four: the watermark is two
  std::uint32_t most_running = 0;
  simulated.observe_plans([&](const tenon_schedule_view& view, const tenon_plan&) {
    most_running = std::max(most_running, view.n_running);
  });
  ASSERT_TRUE(simulated.engine().run().ok());
  EXPECT_EQ(most_running, 1u);
  EXPECT_EQ(simulated.engine().stats().preemptions, 0u);
}

TEST(SarathiServe, TheBudgetFallsWithTheProgressOfThePrompt) {
  SimulatedEngine simulated(sarathi_serve(256, 8,
                                          {{"last_budget", std::int64_t{64}, "test"},
                                           {"budget_stages", std::int64_t{4}, "test"},
                                           {"budget_prompt", std::int64_t{1024}, "test"}}));
  std::vector<std::int64_t> rows;
  simulated.observe_plans([&](const tenon_schedule_view& view, const tenon_plan& plan) {
    rows.push_back(WatchedPlan(view, plan).rows);
  });
  ASSERT_TRUE(simulated.engine().submit(request(1200, 1)).ok());
  ASSERT_TRUE(simulated.engine().run().ok());
  // Stages of 256 tokens: 256, 192, 128, 64 rows.
  EXPECT_EQ(rows, (std::vector<std::int64_t>{256, 192, 192, 128, 64, 64, 64, 64, 64, 64, 48}));
}

}  // namespace
}  // namespace tenon
