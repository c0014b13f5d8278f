#include "core/runtime/plan_check.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <vector>

namespace tenon {
namespace {

struct Case {
  std::vector<tenon_request_view> waiting, running;
  std::vector<tenon_plan_item> items;
  std::vector<std::uint64_t> preempt;
  std::int32_t free_pages = 10;

  Status check() {
    // Every page of a request is its own.
    std::vector<tenon_request_pages> pages;
    pages.reserve(waiting.size() + running.size());
    for (std::vector<tenon_request_view>* list : {&waiting, &running})
      for (tenon_request_view& r : *list) {
        pages.push_back({0, r.held_pages});
        r.pages = &pages.back();
      }
    const tenon_pool_view pool{free_pages, 0};
    const tenon_schedule_view view{{sizeof view, 0, nullptr},
                                   waiting.data(),
                                   static_cast<std::uint32_t>(waiting.size()),
                                   static_cast<std::uint32_t>(running.size()),
                                   running.data(),
                                   &pool,
                                   1,
                                   64};
    const tenon_plan plan{{sizeof plan, 0, nullptr},
                          items.data(),
                          static_cast<std::uint32_t>(items.size()),
                          static_cast<std::uint32_t>(items.size()),
                          preempt.data(),
                          static_cast<std::uint32_t>(preempt.size()),
                          static_cast<std::uint32_t>(preempt.size())};
    return check_plan(view, plan);
  }
  std::string broken_rule() {
    const Status status = check();
    return status.ok() ? "" : status.error().id + " " + status.error().message;
  }
};

tenon_request_view request(std::uint64_t id, std::int32_t known, std::int32_t computed,
                           std::int32_t held) {
  return {id, id, known, computed, known, 1000, held, 0, nullptr};
}

TEST(PlanCheck, ALegalPlanPasses) {
  Case c{.waiting = {request(3, 100, 0, 0)},
         .running = {request(1, 50, 49, 1), request(2, 129, 128, 2)},
         .items = {{3, 0, 100}, {1, 49, 50}, {2, 128, 129}}};
  EXPECT_EQ(c.broken_rule(), "");
}

// A step that failed may have left a request more pages than its next item needs.
TEST(PlanCheck, PagesHeldBeyondAnItemAreNoneForTheOthers) {
  Case c{.waiting = {request(3, 200, 0, 0)},
         .running = {request(1, 500, 0, 8)},
         .items = {{1, 0, 64}, {3, 0, 200}},
         .free_pages = 3};
  EXPECT_TRUE(c.broken_rule().starts_with("TENON-R040"));
  c.free_pages = 4;
  EXPECT_EQ(c.broken_rule(), "");
}

TEST(PlanCheck, EachBrokenRuleIsNamed) {
  const Case good{.waiting = {request(3, 100, 0, 0)},
                  .running = {request(1, 50, 49, 1)},
                  .items = {{1, 49, 50}}};
  const auto with = [&](std::vector<tenon_plan_item> items, std::vector<std::uint64_t> preempt = {},
                        std::int32_t free = 10) {
    Case c = good;
    c.items = std::move(items);
    c.preempt = std::move(preempt);
    c.free_pages = free;
    return c.broken_rule();
  };
  EXPECT_EQ(with({{9, 0, 1}}), "TENON-R040 illegal plan: no such request");
  EXPECT_EQ(with({{1, 48, 50}}), "TENON-R040 illegal plan: tokens must begin at the frontier");
  EXPECT_EQ(with({{3, 10, 20}}), "TENON-R040 illegal plan: tokens must begin at the frontier");
  EXPECT_EQ(with({{1, 49, 49}}), "TENON-R040 illegal plan: tokens must be known");
  EXPECT_EQ(with({{1, 49, 51}}), "TENON-R040 illegal plan: tokens must be known");
  EXPECT_EQ(with({{1, 49, 50}, {1, 49, 50}}), "TENON-R040 illegal plan: the request has two items");
  EXPECT_EQ(with({{1, 49, 50}}, {1}),
            "TENON-R040 illegal plan: the request is preempted in the same plan");
  EXPECT_EQ(with({}, {3}), "TENON-R040 illegal plan: only a running request can be preempted");
  EXPECT_EQ(with({}, {1, 1}), "TENON-R040 illegal plan: preempted twice");
  EXPECT_EQ(with({{3, 0, 100}}, {}, 1), "TENON-R040 illegal plan: more pages than can be had");
  EXPECT_EQ(with({{3, 0, 100}}, {1}, 1), "");  // the preempted page makes room
}

// Whatever a plan says, one that passes keeps the rule: the frontier advances by what is known,
// nobody twice, no more pages than there are.
TEST(PlanCheck, NothingIllegalPasses) {
  EXPECT_TRUE(rc::check([] {
    Case c;
    c.free_pages = *rc::gen::inRange(0, 6);
    for (std::uint64_t id = 1; id <= 4; ++id) {
      const int known = *rc::gen::inRange(1, 200), computed = *rc::gen::inRange(0, known);
      (id <= 2 ? c.running : c.waiting)
          .push_back(
              request(id, known, id <= 2 ? computed : 0, id <= 2 ? (computed + 63) / 64 : 0));
    }
    c.items = *rc::gen::container<std::vector<tenon_plan_item>>(
        rc::gen::map(rc::gen::tuple(rc::gen::inRange<std::uint64_t>(1, 6), rc::gen::inRange(0, 200),
                                    rc::gen::inRange(0, 201)),
                     [](const auto& t) {
                       return tenon_plan_item{std::get<0>(t), std::get<1>(t), std::get<2>(t)};
                     }));
    for (tenon_plan_item& item : c.items)  // often at the frontier, or nothing would pass
      if (*rc::gen::arbitrary<bool>())
        for (const auto* list : {&c.running, &c.waiting})
          for (const tenon_request_view& r : *list)
            if (r.id == item.request) item.begin = r.computed;
    if (!c.check().ok()) return;
    std::vector<bool> seen(6, false);
    std::int64_t pages = 0;
    for (const tenon_plan_item& item : c.items) {
      RC_ASSERT(item.request <= 4 && !seen[item.request]);
      seen[item.request] = true;
      const auto& list = item.request <= 2 ? c.running : c.waiting;
      const tenon_request_view& r = list[(item.request - 1) % 2];
      RC_ASSERT(item.begin == r.computed && item.begin < item.end && item.end <= r.known);
      pages += (item.end + 63) / 64 - r.held_pages;
    }
    RC_ASSERT(pages <= c.free_pages);
  }));
}

}  // namespace
}  // namespace tenon
