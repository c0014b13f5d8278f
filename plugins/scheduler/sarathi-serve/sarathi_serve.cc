// Sarathi-Serve (arXiv 2403.02310): a step has a budget of rows. Decodes spend first, so none of
// them ever waits for a prompt; what is left goes to the prompts that have been begun, then to new
// ones, both in the order of arrival.
#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>
#include <vector>

#include "tenon/sdk/page_budget.hpp"
#include "tenon/sdk/plugin.hpp"
#include "tenon/sdk/schedule.hpp"

namespace {

using tenon::sdk::is_decode;
using tenon::sdk::PageBudget;
using tenon::sdk::Status;
using tenon::sdk::tokens_left;

class SarathiServe {
 public:
  SarathiServe(const tenon::sdk::Host&, const tenon::sdk::Params& params)
      : budget_(params.get_int("token_budget")),
        max_sequences_(params.get_int("max_sequences")),
        watermark_(params.get_double("watermark")),
        last_budget_(params.get_int("last_budget")),
        stages_(params.get_int("budget_stages")),
        stage_tokens_((params.get_int("budget_prompt") + stages_ - 1) / stages_) {}

  Status plan(const tenon_schedule_view* view, tenon_plan* out) {
    view_ = view;
    out_ = out;
    out->n_items = out->n_preempt = 0;
    rows_ = 0;
    state_.assign(view->n_running, kIdle);
    count_pages();
    decode();
    continue_prompts();
    if (out->n_preempt == 0) admit();  // nobody passes those who have just given up their pages
    return {};
  }

 private:
  enum State : std::uint8_t { kIdle, kPlanned, kPreempted };

  // What is left after this plan so far, and after that and all that was promised: a begun prompt
  // has been promised the pages of all its known tokens.
  void count_pages() {
    left_.emplace(*view_);
    for (std::uint32_t i = 0; i < view_->n_running; ++i)
      if (state_[i] == kPreempted) left_->give_back(view_->running[i]);
    for (std::uint32_t i = 0; i < view_->n_running; ++i)
      if (state_[i] == kPlanned) left_->take(view_->running[i], view_->running[i].known);
    unpromised_ = left_;
    for (std::uint32_t i = 0; i < view_->n_running; ++i) {
      const tenon_request_view& r = view_->running[i];
      if (state_[i] == kIdle && !is_decode(r))
        unpromised_->set_aside(r, r.computed, r.known, budget_);
    }
  }

  void add(const tenon_request_view& r, std::int64_t tokens) {
    out_->items[out_->n_items++] = {r.id, r.computed,
                                    r.computed + static_cast<std::int32_t>(tokens)};
    rows_ += tokens;
  }

  // Who decodes in this step, in this order: all in the order of arrival or, when they are more
  // than the budget, those first that have waited longest.
  void order_decodes() {
    decodes_.clear();
    for (std::uint32_t i = 0; i < view_->n_running; ++i)
      if (is_decode(view_->running[i])) decodes_.push_back(i);
    if (static_cast<std::int64_t>(decodes_.size()) <= budget_) return;
    // Among equals those with the shortest answer: by the order of arrival alone the last ones
    // would wait for each other and get half of what the others get.
    std::sort(decodes_.begin(), decodes_.end(), [this](std::uint32_t a, std::uint32_t b) {
      const auto rank = [this](std::uint32_t index) {
        const tenon_request_view& r = view_->running[index];
        return std::tuple(-r.idle, r.known - r.prompt, index);
      };
      return rank(a) < rank(b);
    });
  }

  void decode() {
    order_decodes();
    for (const std::uint32_t index : decodes_) {
      if (rows_ == budget_) return;
      if (state_[index] == kPreempted) continue;
      const tenon_request_view& r = view_->running[index];
      while (state_[index] == kIdle && !unpromised_->fits(r, r.known)) preempt_tail();
      if (state_[index] == kPreempted) continue;
      left_->take(r, r.known);
      unpromised_->take(r, r.known);
      state_[index] = kPlanned;
      add(r, 1);
    }
  }

  // The last arrival that is not planned gives up its pages; the asker itself if it is that.
  void preempt_tail() {
    std::uint32_t tail = view_->n_running - 1;
    while (state_[tail] != kIdle) --tail;
    out_->preempt[out_->n_preempt++] = view_->running[tail].id;
    state_[tail] = kPreempted;
    count_pages();
  }

  // The budget of a step that cuts this prompt. With a schedule it falls with the prompt's
  // progress, in multiples of 32, because attention over what has been read makes a row dearer.
  std::int64_t budget_for(const tenon_request_view& r) const {
    if (last_budget_ == 0 || stages_ == 1) return budget_;
    const std::int64_t stage = std::min<std::int64_t>(r.computed / stage_tokens_, stages_ - 1);
    const double part = static_cast<double>(stage) / static_cast<double>(stages_ - 1);
    const double wanted =
        static_cast<double>(budget_) + part * static_cast<double>(last_budget_ - budget_);
    const auto unit = static_cast<double>(std::min<std::int64_t>(32, last_budget_));
    return std::clamp<std::int64_t>(std::llround(wanted / unit) * std::llround(unit), 1, budget_);
  }

  std::int64_t chunk_of(const tenon_request_view& r) const {
    return std::clamp<std::int64_t>(budget_for(r) - rows_, 0, tokens_left(r));
  }

  // As much of the chunk as there are pages for: all of it, but of a prompt that is alone and
  // longer than a window's pool holds at once. False when that is nothing.
  bool add_chunk(const tenon_request_view& r, std::int64_t chunk) {
    const std::int32_t end = left_->furthest(r, r.computed + static_cast<std::int32_t>(chunk));
    if (end == r.computed) return false;
    left_->take(r, end);
    add(r, end - r.computed);
    return true;
  }

  void continue_prompts() {
    for (std::uint32_t i = 0; i < view_->n_running; ++i) {
      const tenon_request_view& r = view_->running[i];
      if (state_[i] != kIdle || is_decode(r)) continue;
      add_chunk(r, chunk_of(r));
    }
  }

  void admit() {
    unpromised_->keep(watermark_);
    std::int64_t sequences = view_->n_running;
    for (std::uint32_t i = 0; i < view_->n_waiting; ++i, ++sequences) {
      const tenon_request_view& r = view_->waiting[i];
      const std::int64_t chunk = chunk_of(r);
      if (sequences == max_sequences_ || chunk == 0) return;
      unpromised_->take(r, r.computed + chunk);
      unpromised_->set_aside(r, r.computed + chunk, r.known, budget_);
      // An empty engine takes the first request in any case.
      if (unpromised_->free() < 0 && sequences > 0) return;
      if (!add_chunk(r, chunk)) return;
    }
  }

  std::int64_t budget_, max_sequences_;
  double watermark_;
  std::int64_t last_budget_, stages_, stage_tokens_;

  // The plan that is being made.
  const tenon_schedule_view* view_ = nullptr;
  tenon_plan* out_ = nullptr;
  std::int64_t rows_ = 0;
  std::optional<PageBudget> left_, unpromised_;
  std::vector<State> state_;  // of the running
  std::vector<std::uint32_t> decodes_;
};

}  // namespace

TENON_PLUGIN(SarathiServe, TENON_SCHEDULER_ID, SchedulerTable);
