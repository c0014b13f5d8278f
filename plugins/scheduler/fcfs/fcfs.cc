// Prefill-first continuous batching, the baseline of the scheduler papers: while a prompt waits and
// fits, a step runs prompts only, in the order of arrival; otherwise a step decodes one token of
// every running sequence. When pages run out the last arrival gives up its own and starts again.
#include <algorithm>
#include <vector>

#include "tenon/sdk/page_budget.hpp"
#include "tenon/sdk/plugin.hpp"

namespace {

using tenon::sdk::PageBudget;
using tenon::sdk::Status;

class Fcfs {
 public:
  Fcfs(const tenon::sdk::Host&, const tenon::sdk::Params& params)
      : max_sequences_(params.get_int("max_sequences")),
        max_batch_tokens_(params.get_int("max_batch_tokens")),
        chunk_(params.get_int("prefill_chunk")) {}

  Status plan(const tenon_schedule_view* view, tenon_plan* out) {
    out->n_items = out->n_preempt = 0;
    PageBudget budget(*view);
    if (continue_prompts(view, budget, out) || admit(view, budget, out)) return {};
    decode(view, budget, out);
    return {};
  }

 private:
  std::int32_t end_of(const tenon_request_view& r) const {
    return chunk_ > 0
               ? static_cast<std::int32_t>(std::min<std::int64_t>(r.known, r.computed + chunk_))
               : r.known;
  }

  static bool in_prompt(const tenon_request_view& r) { return r.known - r.computed > 1; }

  // Chunks: the earliest running sequence whose prompt is not done yet goes on, alone.
  bool continue_prompts(const tenon_schedule_view* view, const PageBudget& budget,
                        tenon_plan* out) const {
    for (std::uint32_t i = 0; i < view->n_running; ++i) {
      const tenon_request_view& r = view->running[i];
      if (!in_prompt(r)) continue;
      const std::int32_t end = budget.furthest(r, end_of(r));
      if (end == r.computed) continue;
      out->items[out->n_items++] = {r.id, r.computed, end};
      return true;
    }
    return false;
  }

  // A prompt enters whole. One that no step could hold, because it is longer than a window's pool,
  // enters alone and goes on by what fits.
  bool admit(const tenon_schedule_view* view, PageBudget budget, tenon_plan* out) const {
    std::int64_t tokens = 0;
    for (std::uint32_t i = 0; i < view->n_waiting && out->n_items < out->max_items; ++i) {
      const tenon_request_view& r = view->waiting[i];
      const std::int64_t work = end_of(r) - r.computed;
      // Room for the whole sequence so far and the token that follows, so that a prompt is not
      // preempted by its own first decode.
      const std::int32_t room = std::min(r.known + 1, r.limit);
      if (view->n_running + out->n_items >= static_cast<std::uint64_t>(max_sequences_)) break;
      if (!budget.fits(r, room)) {
        const bool alone = view->n_running + out->n_items == 0;
        const std::int32_t end = alone ? budget.furthest(r, end_of(r)) : r.computed;
        if (end > r.computed) out->items[out->n_items++] = {r.id, r.computed, end};
        break;
      }
      if (out->n_items > 0 && (chunk_ > 0 || tokens + work > max_batch_tokens_)) break;
      out->items[out->n_items++] = {r.id, r.computed, end_of(r)};
      tokens += work;
      budget.take(r, room);
    }
    return out->n_items > 0;
  }

  // One token each. Who needs a page when none is left takes those of the last arrival.
  void decode(const tenon_schedule_view* view, PageBudget budget, tenon_plan* out) const {
    std::uint32_t last = view->n_running;
    for (std::uint32_t i = 0; i < last && out->n_items < out->max_items; ++i) {
      const tenon_request_view& r = view->running[i];
      const std::int32_t end = std::min(r.computed + 1, r.known);
      while (!budget.fits(r, end) && last > i + 1) {
        const tenon_request_view& victim = view->running[--last];
        out->preempt[out->n_preempt++] = victim.id;
        budget.give_back(victim);
      }
      if (!budget.fits(r, end) || end == r.computed) continue;
      out->items[out->n_items++] = {r.id, r.computed, end};
      budget.take(r, end);
    }
  }

  std::int64_t max_sequences_, max_batch_tokens_, chunk_;
};

}  // namespace

TENON_PLUGIN(Fcfs, TENON_SCHEDULER_ID, SchedulerTable);
