#include "core/runtime/plan_check.h"

#include <algorithm>
#include <string>

#include "tenon/sdk/page_budget.hpp"

namespace tenon {
namespace {

Error illegal(std::string where, std::string message, std::string found = {},
              std::string expected = {}) {
  return {.code = Code::kInternal,
          .id = "TENON-R040",
          .message = "illegal plan: " + std::move(message),
          .where = std::move(where),
          .found = std::move(found),
          .expected = std::move(expected),
          .fix = "this is a defect of the scheduler plugin"};
}

const tenon_request_view* find(const tenon_request_view* list, std::uint32_t n, std::uint64_t id) {
  const tenon_request_view* end = list + n;
  const tenon_request_view* at =
      std::find_if(list, end, [id](const tenon_request_view& r) { return r.id == id; });
  return at == end ? nullptr : at;
}

std::string range(std::int32_t begin, std::int32_t end) {
  return "[" + std::to_string(begin) + ", " + std::to_string(end) + ")";
}

Status check_item(const tenon_schedule_view& view, const tenon_plan& plan, std::uint32_t index,
                  sdk::PageBudget& budget) {
  const tenon_plan_item& item = plan.items[index];
  // The place is spelled out only for a plan that fails: a good one costs no allocation.
  const auto where = [&] {
    return "item " + std::to_string(index) + ", request " + std::to_string(item.request);
  };
  const tenon_request_view* request = find(view.running, view.n_running, item.request);
  if (request == nullptr) request = find(view.waiting, view.n_waiting, item.request);
  if (request == nullptr) return illegal(where(), "no such request");
  for (std::uint32_t i = 0; i < index; ++i)
    if (plan.items[i].request == item.request) return illegal(where(), "the request has two items");
  if (std::find(plan.preempt, plan.preempt + plan.n_preempt, item.request) !=
      plan.preempt + plan.n_preempt)
    return illegal(where(), "the request is preempted in the same plan");
  if (item.begin != request->computed)
    return illegal(where(), "tokens must begin at the frontier", range(item.begin, item.end),
                   "begin " + std::to_string(request->computed));
  if (item.end <= item.begin || item.end > request->known)
    return illegal(where(), "tokens must be known", "an end of " + std::to_string(item.end),
                   "an end from " + std::to_string(item.begin + 1) + " to " +
                       std::to_string(request->known) + ": so many tokens are known");
  if (!budget.fits(*request, item.end))
    return illegal(where(), "more pages than can be had",
                   std::to_string(budget.pages(item.end)) + " pages, " +
                       std::to_string(request->held_pages) + " of them held",
                   "at most " + std::to_string(budget.free()) + " more");
  budget.take(*request, item.end);
  return {};
}

}  // namespace

Status check_plan(const tenon_schedule_view& view, const tenon_plan& plan) {
  if (plan.n_items > plan.max_items || plan.n_preempt > plan.max_preempt)
    return illegal("plan", "more entries than there is room for");
  sdk::PageBudget budget(view);
  for (std::uint32_t i = 0; i < plan.n_preempt; ++i) {
    const tenon_request_view* request = find(view.running, view.n_running, plan.preempt[i]);
    const auto where = [&] {
      return "preempt " + std::to_string(i) + ", request " + std::to_string(plan.preempt[i]);
    };
    if (request == nullptr) return illegal(where(), "only a running request can be preempted");
    if (std::find(plan.preempt, plan.preempt + i, plan.preempt[i]) != plan.preempt + i)
      return illegal(where(), "preempted twice");
    budget.give_back(*request);
  }
  for (std::uint32_t i = 0; i < plan.n_items; ++i) TENON_TRY(check_item(view, plan, i, budget));
  return {};
}

}  // namespace tenon
