// What one plan costs: 64 requests, of which `decodes` run and the rest wait, one prompt half read.
// A step of a small model takes milliseconds; a plan should not be seen beside it.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "tests/fixtures/open_plugin.h"

namespace tenon {
namespace {

constexpr std::uint32_t kRequests = 64;

struct Queue {
  std::vector<tenon_request_view> running, waiting;
  tenon_request_pages own{0, 2};
  tenon_pool_view pool{};
  std::vector<tenon_plan_item> items = std::vector<tenon_plan_item>(kRequests);
  std::vector<std::uint64_t> preempt = std::vector<std::uint64_t>(kRequests);
  tenon_schedule_view view{};
  tenon_plan plan{};

  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;
  // Every eighth decode needs a page; `free` of them are there.
  Queue(std::uint32_t decodes, std::int32_t free) {
    for (std::uint64_t id = 1; id <= kRequests; ++id) {
      const bool decode = id <= decodes, begun = id == decodes + 1;
      const std::int32_t known =
          decode && id % 8 == 0 ? 129 : 120 + static_cast<std::int32_t>(id % 8);
      if (decode)
        running.push_back(
            {id, id, known, known - 1, 100, 400, 2, static_cast<std::int32_t>(id % 3), &own});
      else if (begun)
        running.push_back({id, id, 1000, 320, 1000, 1100, 5, 0, &own});
      else
        waiting.push_back({id, id, 700, 0, 700, 800, 0, 9, &own});
    }
    pool = {free, 0, 1024, 0};
    view = {{sizeof view, 0, nullptr},
            waiting.data(),
            static_cast<std::uint32_t>(waiting.size()),
            static_cast<std::uint32_t>(running.size()),
            running.data(),
            &pool,
            1,
            64};
    plan = {{sizeof plan, 0, nullptr}, items.data(), 0, kRequests, preempt.data(), 0, kRequests};
  }
};

struct Choice {
  std::string name, scheduler;
  std::vector<ManifestParam> params;
};

void plan_of(benchmark::State& state, const Choice& choice, std::int32_t free) {
  const OpenPlugin plugin("tenon.scheduler." + choice.scheduler, choice.params);
  const auto planner = plugin.as<iface::Scheduler, tenon_scheduler_v1>(TENON_SCHEDULER_ID);
  Queue queue(static_cast<std::uint32_t>(state.range(0)), free);
  for (auto _ : state) {
    if (!planner.plan(&queue.view, &queue.plan).ok()) state.SkipWithError("the plan failed");
    benchmark::DoNotOptimize(queue.plan.n_items);
  }
  state.counters["items"] = static_cast<double>(queue.plan.n_items);
  state.counters["preempted"] = static_cast<double>(queue.plan.n_preempt);
}

}  // namespace
}  // namespace tenon

int main(int argc, char** argv) {
  const tenon::Choice choices[] = {
      {"fcfs", "fcfs", {}},
      {"sarathi", "sarathi", {}},
      {"sarathi-serve", "sarathi-serve", {}},
      {"sarathi-serve, 16 rows", "sarathi-serve", {{"token_budget", std::int64_t{16}, "bench"}}}};
  for (const tenon::Choice& choice : choices)
    for (const auto& [pages, free] : {std::pair{"/roomy", 900}, {"/no_free_page", 0}})
      benchmark::RegisterBenchmark(
          (choice.name + pages).c_str(),
          [&choice, free = free](benchmark::State& state) { tenon::plan_of(state, choice, free); })
          ->Arg(0)
          ->Arg(32)
          ->Arg(63);
  std::vector<char*> arguments(argv, argv + argc);
  std::string json = "--benchmark_format=json";
  arguments.insert(arguments.begin() + 1, json.data());
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
