// The scheduler against the validity rule, without a model: a queue, pages and a frontier as the
// engine keeps them.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "core/memory/page_pool.h"
#include "core/runtime/plan_check.h"
#include "tests/fixtures/open_plugin.h"

namespace tenon {
namespace {

struct Simulated {
  std::uint64_t id;
  std::int32_t prompt, limit, known, computed = 0, pages = 0;
  bool running = false;
  std::uint64_t first_token_step = 0;
};

class Simulation {
 public:
  Simulation(const iface::Scheduler& scheduler, std::int32_t pages)
      : scheduler_(scheduler), free_(pages) {}

  void arrive(std::int32_t prompt, std::int32_t answer) {
    live_.push_back({next_++, prompt, prompt + answer, prompt});
  }

  // One step; false when nothing is live. Any broken rule fails the test.
  bool step() {
    if (live_.empty()) return false;
    std::vector<tenon_request_view> waiting, running;
    std::vector<tenon_request_pages> pages;
    pages.reserve(live_.size());
    for (const Simulated& r : live_) {
      pages.push_back({0, r.pages});
      (r.running ? running : waiting)
          .push_back(
              {r.id, r.id, r.known, r.computed, r.prompt, r.limit, r.pages, 0, &pages.back()});
    }
    const tenon_pool_view pool{free_, 0};
    const tenon_schedule_view view{{sizeof view, 0, nullptr},
                                   waiting.data(),
                                   static_cast<std::uint32_t>(waiting.size()),
                                   static_cast<std::uint32_t>(running.size()),
                                   running.data(),
                                   &pool,
                                   1,
                                   64};
    items_.resize(live_.size());
    preempt_.resize(running.size());
    tenon_plan plan{{sizeof plan, 0, nullptr},
                    items_.data(),
                    0,
                    static_cast<std::uint32_t>(items_.size()),
                    preempt_.data(),
                    0,
                    static_cast<std::uint32_t>(preempt_.size())};
    Status status = scheduler_.plan(&view, &plan);
    if (status.ok()) status = check_plan(view, plan);
    EXPECT_TRUE(status.ok()) << status.error().to_string();
    EXPECT_GT(plan.n_items, 0u) << "nothing runs";
    if (!status.ok() || plan.n_items == 0) return false;
    items_.resize(plan.n_items);
    preempt_.resize(plan.n_preempt);
    apply();
    return true;
  }

  const std::vector<tenon_plan_item>& items() const { return items_; }
  const std::vector<std::uint64_t>& preempted() const { return preempt_; }
  const std::vector<std::uint64_t>& finished() const { return finished_; }
  std::int32_t free() const { return free_; }

 private:
  Simulated& find(std::uint64_t id) {
    return *std::find_if(live_.begin(), live_.end(),
                         [id](const Simulated& r) { return r.id == id; });
  }

  void apply() {
    for (const std::uint64_t id : preempt_) {
      Simulated& r = find(id);
      free_ += r.pages;
      r.pages = r.computed = 0;
      r.running = false;
    }
    for (const tenon_plan_item& item : items_) {
      Simulated& r = find(item.request);
      const std::int32_t pages = pages_for_tokens(item.end);
      free_ -= std::max(0, pages - r.pages);
      r.pages = std::max(r.pages, pages);
      r.running = true;
      r.computed = item.end;
      if (r.computed == r.known) ++r.known;
    }
    for (Simulated& r : live_)
      if (r.known >= r.limit) {
        free_ += r.pages;
        finished_.push_back(r.id);
      }
    std::erase_if(live_, [](const Simulated& r) { return r.known >= r.limit; });
  }

  const iface::Scheduler& scheduler_;
  std::int32_t free_;
  std::uint64_t next_ = 1;
  std::vector<Simulated> live_;
  std::vector<tenon_plan_item> items_;
  std::vector<std::uint64_t> preempt_, finished_;
};

ManifestParam param(const std::string& key, std::int64_t value) { return {key, value, "test"}; }

TEST(Fcfs, PromptsRunBeforeDecodesInTheOrderOfArrival) {
  const OpenPlugin plugin("tenon.scheduler.fcfs", {param("max_batch_tokens", 100)});
  const auto fcfs = plugin.as<iface::Scheduler, tenon_scheduler_v1>(TENON_SCHEDULER_ID);
  Simulation simulation(fcfs, 50);
  simulation.arrive(40, 5);
  simulation.arrive(50, 5);
  simulation.arrive(30, 5);
  ASSERT_TRUE(simulation.step());  // 40 + 50 fit 100 tokens, 30 more do not
  ASSERT_EQ(simulation.items().size(), 2u);
  EXPECT_EQ(simulation.items()[0].request, 1u);
  EXPECT_EQ(simulation.items()[1].end, 50);
  ASSERT_TRUE(simulation.step());
  ASSERT_EQ(simulation.items().size(), 1u);
  EXPECT_EQ(simulation.items()[0].request, 3u);
  ASSERT_TRUE(simulation.step());
  EXPECT_EQ(simulation.items().size(), 3u);  // now all decode
  simulation.arrive(20, 5);
  ASSERT_TRUE(simulation.step());
  ASSERT_EQ(simulation.items().size(), 1u);  // and wait for the new prompt
  EXPECT_EQ(simulation.items()[0].request, 4u);
}

TEST(Fcfs, ALongPromptRunsAlone) {
  const OpenPlugin plugin("tenon.scheduler.fcfs", {param("max_batch_tokens", 100)});
  const auto fcfs = plugin.as<iface::Scheduler, tenon_scheduler_v1>(TENON_SCHEDULER_ID);
  Simulation simulation(fcfs, 50);
  simulation.arrive(500, 2);
  simulation.arrive(10, 2);
  ASSERT_TRUE(simulation.step());
  ASSERT_EQ(simulation.items().size(), 1u);
  EXPECT_EQ(simulation.items()[0].end, 500);
}

TEST(Fcfs, ChunksCutOnePromptAtATime) {
  const OpenPlugin plugin("tenon.scheduler.fcfs", {param("prefill_chunk", 16)});
  const auto fcfs = plugin.as<iface::Scheduler, tenon_scheduler_v1>(TENON_SCHEDULER_ID);
  Simulation simulation(fcfs, 50);
  simulation.arrive(40, 2);
  simulation.arrive(40, 2);
  for (const std::int32_t end : {16, 32, 40}) {
    ASSERT_TRUE(simulation.step());
    ASSERT_EQ(simulation.items().size(), 1u);
    EXPECT_EQ(simulation.items()[0].request, 1u);
    EXPECT_EQ(simulation.items()[0].end, end);
  }
  ASSERT_TRUE(simulation.step());
  EXPECT_EQ(simulation.items()[0].request, 2u);
}

TEST(Fcfs, TheLastArrivalIsPreempted) {
  const OpenPlugin plugin("tenon.scheduler.fcfs");
  const auto fcfs = plugin.as<iface::Scheduler, tenon_scheduler_v1>(TENON_SCHEDULER_ID);
  Simulation simulation(fcfs, 3);
  simulation.arrive(60, 100);
  simulation.arrive(60, 100);
  std::vector<std::uint64_t> preempted;
  while (simulation.step())
    preempted.insert(preempted.end(), simulation.preempted().begin(), simulation.preempted().end());
  ASSERT_FALSE(preempted.empty());
  for (const std::uint64_t id : preempted) EXPECT_EQ(id, 2u);
  EXPECT_EQ(simulation.finished(), (std::vector<std::uint64_t>{1, 2}));
}

TEST(Fcfs, TenThousandTracesAreLegalAndEnd) {
  std::mt19937 random(11);
  for (int trace = 0; trace < 10000; ++trace) {
    if (testing::Test::HasFailure()) return;
    static std::unique_ptr<OpenPlugin> plugin;
    if (trace % 100 == 0)
      plugin = std::make_unique<OpenPlugin>(
          "tenon.scheduler.fcfs",
          std::vector<ManifestParam>{
              param("max_sequences", 1 + random() % 6),
              param("max_batch_tokens", 1 + random() % 300),
              param("prefill_chunk", random() % 3 == 0 ? 1 + random() % 80 : 0)});
    const auto fcfs = plugin->as<iface::Scheduler, tenon_scheduler_v1>(TENON_SCHEDULER_ID);
    const std::int32_t pages = 5 + static_cast<std::int32_t>(random() % 8);
    Simulation simulation(fcfs, pages);
    const std::uint32_t requests = 1 + random() % 6;
    std::uint32_t arrived = 0;
    std::uint64_t steps = 0;
    while (arrived < requests || simulation.finished().size() < requests) {
      if (arrived < requests && (random() % 4 == 0 || simulation.finished().size() == arrived)) {
        simulation.arrive(1 + static_cast<std::int32_t>(random() % 200),
                          1 + static_cast<std::int32_t>(random() % 60));
        ++arrived;
      }
      ASSERT_TRUE(simulation.step()) << "trace " << trace;
      ASSERT_LT(++steps, 20000u) << "starvation in trace " << trace;
    }
    ASSERT_EQ(simulation.free(), pages) << "pages leaked in trace " << trace;
  }
}

}  // namespace
}  // namespace tenon
