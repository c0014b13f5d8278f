// SARATHI on the real engine, without a model: what its batches look like (T1.2 to T1.4 of the
// method's page). That they change no bit is tests/unit/runtime/sameness_test.cc.
#include "tests/fixtures/random_traces.h"
#include "tests/fixtures/watched_plan.h"

namespace tenon {
namespace {

SimulatedChoice sarathi(std::int64_t chunk, std::int64_t sequences, std::int64_t tile = 0,
                        std::vector<ManifestParam> more = {}) {
  SimulatedChoice choice{.scheduler = "tenon.scheduler.sarathi", .params = std::move(more)};
  choice.params.push_back({"chunk_size", chunk, "test"});
  choice.params.push_back({"max_sequences", sequences, "test"});
  choice.params.push_back({"tile", tile, "test"});
  return choice;
}

// Every plan has every decode, at most one chunk, and no more sequences than slots; nothing is
// preempted. F, the frontier, is the core's own check of each plan.
TEST(Sarathi, T1_2_AStepIsOneChunkAndAllDecodes) {
  std::mt19937 random(3);
  for (long i = 0; i < trace_count(300) && !testing::Test::HasFailure(); ++i) {
    const RandomTrace trace(random);
    const std::int64_t chunk = 1 + random() % 90, slots = 1 + random() % 6;
    SimulatedChoice choice = sarathi(chunk, slots, random() % 2 == 0 ? 0 : 1 + random() % 33);
    SimulatedEngine simulated(trace.on(choice));
    simulated.observe_plans([&](const tenon_schedule_view& view, const tenon_plan& plan) {
      const WatchedPlan watched(view, plan);
      EXPECT_EQ(plan.n_preempt, 0u);
      EXPECT_LE(watched.chunks.size(), 1u);
      EXPECT_EQ(watched.decodes.size(), watched.running_decodes);
      EXPECT_LE(watched.sequences_after, static_cast<std::size_t>(slots));
      EXPECT_LE(watched.decodes.size() + watched.chunks.size(), static_cast<std::size_t>(slots));
    });
    run_trace(simulated, trace);
  }
}

TEST(Sarathi, T1_3_ChunksEndOnATile) {
  std::mt19937 random(5);
  for (long i = 0; i < trace_count(300) && !testing::Test::HasFailure(); ++i) {
    const RandomTrace trace(random);
    const std::int64_t tile = 2 + random() % 31;
    SimulatedChoice choice = sarathi(1 + random() % 90, 1 + random() % 8, tile);
    choice.pages = trace.pools.pages;
    SimulatedEngine simulated(choice);
    simulated.observe_plans([&](const tenon_schedule_view& view, const tenon_plan& plan) {
      const WatchedPlan watched(view, plan);
      if (watched.chunks.empty() || watched.rows % tile == 0) return;
      // Only a prompt's end may leave a tile unfilled, and then what stands over a tile would have
      // cost another one in the next step, too.
      EXPECT_TRUE(watched.chunks[0].ends_prompt);
      const auto decodes = static_cast<std::int64_t>(watched.decodes.size());
      const std::int64_t over = watched.rows % tile;
      EXPECT_TRUE(watched.rows < tile || decodes == 0 || over + decodes > tile ||
                  watched.chunks[0].tokens <= over)
          << watched.rows << " rows, " << decodes << " decodes, tile " << tile;
    });
    run_trace(simulated, trace);
  }
}

// 257 rows cost three tiles of 128; 256 now and one row beside the decodes of the next step do not.
TEST(Sarathi, T1_3_NeverOneRowOverATile) {
  SimulatedEngine simulated(sarathi(384, 8, 128));
  RequestSpec spec;
  spec.max_tokens = 20;
  spec.ignore_eos = true;
  spec.prompt.assign(10, 1);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(simulated.engine().submit(spec).ok());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(simulated.engine().step().ok());
  spec.prompt.assign(254, 2);
  ASSERT_TRUE(simulated.engine().submit(spec).ok());
  std::vector<std::int64_t> rows;
  simulated.observe_plans([&](const tenon_schedule_view& view, const tenon_plan& plan) {
    rows.push_back(WatchedPlan(view, plan).rows);
  });
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(simulated.engine().step().ok());
  EXPECT_EQ(rows, (std::vector<std::int64_t>{256, 4, 4}));
}

// With P : D = C : (B_max - 1) and prompts always waiting, every step has a chunk once the slots
// are taken.
TEST(Sarathi, T1_4_NoStepOnlyDecodesInSteadyState) {
  for (const auto& [chunk, slots] : {std::pair{32, 5}, {16, 9}, {64, 3}}) {
    SimulatedChoice choice = sarathi(chunk, slots);
    choice.pages = 400;
    SimulatedEngine simulated(choice);
    RequestSpec spec;
    spec.prompt.assign(static_cast<std::size_t>(chunk * 8), 1);
    spec.max_tokens = 8 * (slots - 1);
    spec.ignore_eos = true;
    for (int i = 0; i < 40; ++i) ASSERT_TRUE(simulated.engine().submit(spec).ok());
    int only_decodes = 0, full = 0, steps = 0;
    simulated.observe_plans([&](const tenon_schedule_view& view, const tenon_plan& plan) {
      const WatchedPlan watched(view, plan);
      if (view.n_waiting == 0) return;
      ++steps;
      only_decodes += watched.chunks.empty();
      full += watched.decodes.size() + 2 >= static_cast<std::size_t>(slots);
    });
    ASSERT_TRUE(simulated.engine().run().ok());
    EXPECT_EQ(only_decodes, 0);
    EXPECT_GT(full, steps / 2);  // and decodes do ride along
  }
}

TEST(Sarathi, TheLastChunkIsFilledOnlyOnRequest) {
  for (const bool fill : {false, true}) {
    SimulatedEngine simulated(
        sarathi(32, 8, 0, {{"last_chunk", std::string(fill ? "fill" : "short"), "test"}}));
    RequestSpec spec;
    spec.prompt.assign(40, 1);
    spec.max_tokens = 4;
    spec.ignore_eos = true;
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(simulated.engine().submit(spec).ok());
    std::vector<std::int64_t> rows;
    simulated.observe_plans([&](const tenon_schedule_view& view, const tenon_plan& plan) {
      rows.push_back(WatchedPlan(view, plan).rows);
    });
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(simulated.engine().step().ok());
    EXPECT_EQ(rows, fill ? (std::vector<std::int64_t>{32, 32, 17})
                         : (std::vector<std::int64_t>{32, 8, 33}));
  }
}

TEST(Sarathi, APromptAloneIsNotCutOnRequest) {
  SimulatedEngine simulated(sarathi(32, 8, 0, {{"whole_when_alone", true, "test"}}));
  RequestSpec spec;
  spec.prompt.assign(100, 1);
  spec.max_tokens = 30;
  spec.ignore_eos = true;
  std::vector<std::int64_t> rows;
  simulated.observe_plans([&](const tenon_schedule_view& view, const tenon_plan& plan) {
    rows.push_back(WatchedPlan(view, plan).rows);
  });
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(simulated.engine().submit(spec).ok());
    ASSERT_TRUE(simulated.engine().step().ok());
  }
  EXPECT_EQ(rows, (std::vector<std::int64_t>{100, 33}));  // the second has a decode beside it
}

// A slot has its pages for life: the second request waits until the first has ended.
TEST(Sarathi, ASlotIsNeverTakenBack) {
  SimulatedChoice choice = sarathi(64, 8);
  choice.pages = 5;
  SimulatedEngine simulated(choice);
  RequestSpec spec;
  spec.prompt.assign(60, 1);
  spec.max_tokens = 120;  // three pages
  spec.ignore_eos = true;
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(simulated.engine().submit(spec).ok());
  std::uint32_t most_running = 0;
  simulated.observe_plans([&](const tenon_schedule_view& view, const tenon_plan&) {
    most_running = std::max(most_running, view.n_running);
  });
  ASSERT_TRUE(simulated.engine().run().ok());
  EXPECT_EQ(most_running, 1u);
  EXPECT_EQ(simulated.engine().stats().preemptions, 0u);
}

}  // namespace
}  // namespace tenon
