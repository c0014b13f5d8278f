// A view that a scheduler was shown, kept beyond the call, with the plan that it gave.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "core/conform/test.h"
#include "tenon/abi/scheduler.h"

namespace tenon::conform {

struct RecordedView {
  std::vector<tenon_request_view> waiting, running;
  std::vector<std::vector<tenon_request_pages>> pages;  // of both, in their order
  std::vector<tenon_pool_view> pools;
  tenon_schedule_view view{};

  explicit RecordedView(const tenon_schedule_view& from)
      : waiting(from.waiting, from.waiting + from.n_waiting),
        running(from.running, from.running + from.n_running),
        pools(from.pools, from.pools + from.n_pools),
        view(from) {
    for (auto* list : {&waiting, &running})
      for (tenon_request_view& request : *list) {
        pages.emplace_back(request.pages, request.pages + from.n_pools);
        request.pages = pages.back().data();
      }
    view.waiting = waiting.data();
    view.running = running.data();
    view.pools = pools.data();
  }
  RecordedView(RecordedView&&) = default;  // vectors keep their storage
  RecordedView(const RecordedView&) = delete;
  RecordedView& operator=(const RecordedView&) = delete;

  std::uint32_t requests() const { return view.n_waiting + view.n_running; }
};

// A plan with room of its own, and a wall behind it.
struct OwnedPlan {
  static constexpr std::uint64_t kWall = 0xfeedfacefeedface;
  std::vector<tenon_plan_item> items;
  std::vector<std::uint64_t> preempt;
  tenon_plan plan{};

  OwnedPlan(std::uint32_t max_items, std::uint32_t max_preempt)
      : items(max_items + 1), preempt(max_preempt + 1) {
    items.back().request = kWall;
    preempt.back() = kWall;
    plan.hdr = {sizeof plan, 0, nullptr};
    plan.items = items.data();
    plan.preempt = preempt.data();
    plan.max_items = max_items;
    plan.max_preempt = max_preempt;
  }
  bool wall_stands() const {
    return items.back().request == kWall && preempt.back() == kWall &&
           plan.n_items <= plan.max_items && plan.n_preempt <= plan.max_preempt;
  }
  std::string text() const {
    std::string out;
    for (std::uint32_t i = 0; i < plan.n_preempt; ++i)
      out += "preempt " + std::to_string(preempt[i]) + " ";
    for (std::uint32_t i = 0; i < plan.n_items; ++i)
      out += std::to_string(items[i].request) + ":[" + std::to_string(items[i].begin) + "," +
             std::to_string(items[i].end) + ") ";
    return out.empty() ? "nothing" : out;
  }
};

}  // namespace tenon::conform
