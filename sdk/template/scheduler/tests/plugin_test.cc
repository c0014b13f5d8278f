// Drives the plugin's table with views that an engine might show.
#include "tenon/sdk/testing.hpp"

using tenon::sdk::testing::FakeHost;
using tenon::sdk::testing::GivenParams;
using tenon::sdk::testing::OpenedPlugin;
using tenon::sdk::testing::outcome;

namespace {

constexpr tenon_request_pages kNoPages{0, 0};

tenon_request_view request(std::uint64_t id, std::int32_t known, std::int32_t computed) {
  return {id, id, known, computed, known, known + 100, (computed + 63) / 64, 0, &kNoPages};
}

struct Plan {
  std::vector<tenon_plan_item> items = std::vector<tenon_plan_item>(8);
  std::vector<std::uint64_t> preempt = std::vector<std::uint64_t>(8);
  tenon_plan plan{{sizeof(tenon_plan), 0, nullptr}, items.data(), 0, 8, preempt.data(), 0, 8};
};

struct Scheduler {
  FakeHost host;
  OpenedPlugin<tenon_scheduler_v1> plugin;

  explicit Scheduler(const char* path)
      : plugin(path, TENON_SCHEDULER_ID, host,
               GivenParams().set("chunk_tokens", 100).set("max_sequences", 3)) {}

  Plan plan(const std::vector<tenon_request_view>& running,
            const std::vector<tenon_request_view>& waiting, std::int32_t free_pages) {
    const tenon_pool_view pool{free_pages, 0, 100, 0};
    const tenon_schedule_view view{{sizeof view, 0, nullptr},
                                   waiting.data(),
                                   static_cast<std::uint32_t>(waiting.size()),
                                   static_cast<std::uint32_t>(running.size()),
                                   running.data(),
                                   &pool,
                                   1,
                                   64};
    Plan out;
    TENON_CHECK_OK(outcome(
        [&](tenon_call* call) { return plugin->plan(plugin.self(), &view, &out.plan, call); }));
    return out;
  }
};

}  // namespace

int main(int, char** argv) {
  Scheduler scheduler(argv[1]);

  // Who runs goes on by a chunk or by its last token; who waits is admitted up to max_sequences.
  const Plan mixed = scheduler.plan({request(1, 300, 100), request(2, 51, 50)},
                                    {request(3, 250, 0), request(4, 10, 0)}, 50);
  TENON_CHECK(mixed.plan.n_items == 3 && mixed.plan.n_preempt == 0);
  TENON_CHECK(mixed.items[0].request == 1 && mixed.items[0].begin == 100 &&
              mixed.items[0].end == 200);
  TENON_CHECK(mixed.items[1].request == 2 && mixed.items[1].end == 51);
  TENON_CHECK(mixed.items[2].request == 3 && mixed.items[2].end == 100);

  // Nobody is admitted whose prompt does not fit whole.
  TENON_CHECK(scheduler.plan({request(1, 51, 50)}, {request(2, 300, 0)}, 4).plan.n_items == 1);

  // Without a page for its next token, the earlier request takes those of the last arrival.
  const tenon_request_pages frees{0, 2};
  tenon_request_view last = request(2, 129, 128);
  last.pages = &frees;
  const Plan short_of_pages = scheduler.plan({request(1, 65, 64), last}, {}, 0);
  TENON_CHECK(short_of_pages.plan.n_preempt == 1 && short_of_pages.preempt[0] == 2);
  TENON_CHECK(short_of_pages.plan.n_items == 1 && short_of_pages.items[0].request == 1);
  return 0;
}
