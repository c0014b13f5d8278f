// SARATHI (arXiv 2308.16369): a step is one chunk of one prompt and one token of every sequence
// that decodes, so that decodes ride on rows that read the weights anyway. A sequence gets a slot
// for life: pages up to its limit are set aside when it starts, and nothing is ever preempted.
#include <algorithm>

#include "tenon/sdk/page_budget.hpp"
#include "tenon/sdk/plugin.hpp"
#include "tenon/sdk/schedule.hpp"

namespace {

using tenon::sdk::is_decode;
using tenon::sdk::PageBudget;
using tenon::sdk::Status;
using tenon::sdk::tokens_left;

class Sarathi {
 public:
  Sarathi(const tenon::sdk::Host&, const tenon::sdk::Params& params)
      : chunk_size_(params.get_int("chunk_size")),
        max_sequences_(params.get_int("max_sequences")),
        tile_(params.get_int("tile")),
        fill_(params.get_string("last_chunk") == "fill"),
        whole_when_alone_(params.get_bool("whole_when_alone")) {}

  Status plan(const tenon_schedule_view* view, tenon_plan* out) {
    out->n_items = out->n_preempt = 0;
    PageBudget budget(*view);
    std::int64_t decodes = 0;
    for (std::uint32_t i = 0; i < view->n_running; ++i)
      if (is_decode(view->running[i])) decodes += add(view->running[i], 1, budget, out) > 0;
    add_chunks(*view, decodes, budget, out);
    end_on_a_tile(decodes, out);
    return {};
  }

 private:
  // How many of the tokens run: as many as there are pages for. The slots see to it that there are;
  // only a sequence alone may be longer than a window's pool holds at once.
  static std::int64_t add(const tenon_request_view& r, std::int64_t tokens, PageBudget& budget,
                          tenon_plan* out) {
    const std::int32_t end = budget.furthest(r, r.computed + static_cast<std::int32_t>(tokens));
    if (end == r.computed || out->n_items == out->max_items) return 0;
    out->items[out->n_items++] = {r.id, r.computed, end};
    budget.take(r, end);
    return end - r.computed;
  }

  // Prompt rows of a step in which `decodes` ride along.
  std::int64_t chunk_rows(std::int64_t decodes) const {
    if (whole_when_alone_ && decodes == 0) return std::int64_t{1} << 32;
    if (tile_ == 0) return chunk_size_;
    const std::int64_t rows = std::max(chunk_size_, decodes + 1);
    return (rows + tile_ - 1) / tile_ * tile_ - decodes;
  }

  // The prompt that has been begun goes on; if there is none, the next one gets a slot. Only `fill`
  // lets another follow in the same step.
  void add_chunks(const tenon_schedule_view& view, std::int64_t decodes, PageBudget& budget,
                  tenon_plan* out) const {
    std::int64_t rows = chunk_rows(decodes);
    const std::int64_t most = std::max(rows, chunk_rows(0));  // of any chunk to come
    const auto spend = [&](std::int64_t tokens) { rows = fill_ ? rows - tokens : 0; };
    PageBudget unclaimed(view);  // after every running sequence has come to its end
    for (std::uint32_t i = 0; i < view.n_running; ++i)
      unclaimed.set_aside(view.running[i], view.running[i].computed, view.running[i].limit, most);
    for (std::uint32_t i = 0; i < view.n_running && rows > 0; ++i) {
      const tenon_request_view& r = view.running[i];
      if (is_decode(r)) continue;
      if (const std::int64_t ran =
              add(r, std::min<std::int64_t>(tokens_left(r), rows), budget, out);
          ran > 0)
        spend(ran);
    }
    std::int64_t slots = max_sequences_ - view.n_running;
    for (std::uint32_t i = 0; i < view.n_waiting && rows > 0 && slots > 0; ++i, --slots) {
      const tenon_request_view& r = view.waiting[i];
      const std::int64_t tokens = std::min<std::int64_t>(tokens_left(r), rows);
      unclaimed.take(r, r.computed + tokens);
      unclaimed.set_aside(r, r.computed + tokens, r.limit, most);
      const bool alone = view.n_running + out->n_items == 0;
      if (unclaimed.free() < 0 && !alone) return;
      const std::int64_t ran = add(r, tokens, budget, out);
      if (ran < tokens) return;
      spend(ran);
    }
  }

  // A prompt's end may stand just over a tile. If what stands over fits beside the decodes of the
  // next step, it costs no tile there: leave it.
  void end_on_a_tile(std::int64_t decodes, tenon_plan* out) const {
    if (tile_ == 0 || decodes == 0 || out->n_items == decodes) return;
    std::int64_t rows = 0;
    for (std::uint32_t i = 0; i < out->n_items; ++i)
      rows += out->items[i].end - out->items[i].begin;
    tenon_plan_item& last = out->items[out->n_items - 1];
    const std::int64_t over = rows % tile_;
    if (rows < tile_ || over == 0 || over + decodes > tile_ || last.end - last.begin <= over)
      return;
    last.end -= static_cast<std::int32_t>(over);
  }

  std::int64_t chunk_size_, max_sequences_, tile_;
  bool fill_, whole_when_alone_;
};

}  // namespace

TENON_PLUGIN(Sarathi, TENON_SCHEDULER_ID, SchedulerTable);
