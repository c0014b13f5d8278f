// First in, first out. A step runs the next tokens of every running request, at most a chunk each,
// and admits those that wait in the order of arrival while their pages fit. When pages run out, who
// came last gives up its own and starts again.
#include <algorithm>
#include <cstdint>

#include "tenon/sdk/page_budget.hpp"
#include "tenon/sdk/plugin.hpp"
#include "tenon/sdk/schedule.hpp"

namespace {

using tenon::sdk::PageBudget;
using tenon::sdk::Status;
using tenon::sdk::tokens_left;

class Fifo {
 public:
  Fifo(const tenon::sdk::Host&, const tenon::sdk::Params& params)
      : chunk_(params.get_int("chunk_tokens")), max_sequences_(params.get_int("max_sequences")) {}

  // A function of the view: whatever it would remember, the simulator and a replay would not know.
  Status plan(const tenon_schedule_view* view, tenon_plan* out) {
    out->n_items = out->n_preempt = 0;
    PageBudget budget(*view);
    std::uint32_t kept = view->n_running;  // running requests that are not preempted
    for (std::uint32_t i = 0; i < kept; ++i) {
      const tenon_request_view& r = view->running[i];
      while (budget.furthest(r, end_of(r)) == r.computed && kept > i + 1) {
        const tenon_request_view& victim = view->running[--kept];
        out->preempt[out->n_preempt++] = victim.id;
        budget.give_back(victim);
      }
      run(r, budget, out);
    }
    if (out->n_preempt > 0) return {};
    // What the running ones will need for the rest of their prompts is not for others.
    for (std::uint32_t i = 0; i < kept; ++i)
      budget.set_aside(view->running[i], end_of(view->running[i]), room_of(view->running[i]),
                       chunk_);
    admit(*view, budget, out);
    return {};
  }

 private:
  std::int32_t end_of(const tenon_request_view& r) const {
    return r.computed + static_cast<std::int32_t>(std::min<std::int64_t>(tokens_left(r), chunk_));
  }
  // All that is known and the token that follows, so that no prompt is preempted by its own answer.
  static std::int32_t room_of(const tenon_request_view& r) {
    return std::min(r.known + 1, r.limit);
  }

  // Runs as much of the next chunk as there are pages for.
  void run(const tenon_request_view& r, PageBudget& budget, tenon_plan* out) const {
    const std::int32_t end = budget.furthest(r, end_of(r));
    if (end == r.computed || out->n_items == out->max_items) return;
    out->items[out->n_items++] = {r.id, r.computed, end};
    budget.take(r, end);
  }

  void admit(const tenon_schedule_view& view, PageBudget& budget, tenon_plan* out) const {
    for (std::uint32_t i = 0; i < view.n_waiting; ++i) {
      const tenon_request_view& r = view.waiting[i];
      if (view.n_running + i >= static_cast<std::uint64_t>(max_sequences_)) return;
      // One that no step could hold whole, because a window's pool is small, runs alone.
      const bool alone = view.n_running + out->n_items == 0;
      if (!budget.fits(r, room_of(r)) && !alone) return;
      run(r, budget, out);
      budget.set_aside(r, end_of(r), room_of(r), chunk_);
    }
  }

  std::int64_t chunk_, max_sequences_;
};

}  // namespace

TENON_PLUGIN(Fifo, TENON_SCHEDULER_ID, SchedulerTable);
