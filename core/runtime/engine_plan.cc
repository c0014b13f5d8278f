// What a step will do: the scheduler's view, its plan, and the pages that the plan needs.
#include <algorithm>
#include <limits>

#include "core/runtime/engine.h"
#include "core/runtime/plan_check.h"

namespace tenon {
namespace {

// The scheduler sees this many of the waiting requests: each costs a cache lookup.
constexpr std::size_t kWaitingShown = 256;

}  // namespace

Status Engine::take_pages() {
  const ProfileSpan span(parts_.profile, Profile::kPages);
  for (std::uint32_t i = 0; i < plan_.n_preempt; ++i) TENON_TRY(preempt(plan_.preempt[i]));
  // All hits are shared before the first page is taken, so that no eviction can take one of them.
  for (std::uint32_t i = 0; i < plan_.n_items; ++i) TENON_TRY(start(plan_.items[i].request));
  for (std::uint32_t i = 0; i < plan_.n_items; ++i) TENON_TRY(reserve_pages(plan_.items[i]));
  return {};
}

// Keys of the first n_pages pages of `tokens`, all full.
void Engine::make_keys(Request& request, std::int32_t n_pages) {
  while (static_cast<std::int32_t>(request.keys.size()) < n_pages) {
    const std::size_t page = request.keys.size();
    const Hash128 before = page == 0
                               ? request.cache_seed
                               : Hash128{request.keys[page - 1].low, request.keys[page - 1].high};
    request.keys.push_back(
        page_key(std::span(request.tokens).subspan(page * kPageTokens, kPageTokens), before));
  }
}

// What a waiting request would find in the caches now: the longest prefix that every pool can
// restore. At least its last token is computed: there is no logit without it.
Status Engine::look_up(Request& request) {
  request.computed = 0;
  for (PageTable& table : request.kv) table.hit.clear();
  if (request.spec.prompt_logprobs) return {};
  const auto full = static_cast<std::size_t>(request.known() / kPageTokens);
  make_keys(request, static_cast<std::int32_t>(full));
  for (std::size_t pool = 0; pool < request.kv.size(); ++pool) {
    request.kv[pool].hit.resize(full);
    TENON_TRY(parts_.kv[pool]->lookup(std::span(request.keys).first(full), request.kv[pool].hit));
  }
  std::size_t n = full;
  for (std::size_t next = 0; n > 0 && !restorable(request, n, next);) n = next;
  request.computed = std::min(static_cast<std::int32_t>(n) * kPageTokens, request.known() - 1);
  for (std::size_t pool = 0; pool < request.kv.size(); ++pool) {
    std::vector<std::uint32_t>& hit = request.kv[pool].hit;
    hit.resize(n);
    const auto first = static_cast<std::size_t>(parts_.kv[pool]->first_page(request.computed));
    if (n > 0) std::fill_n(hit.begin(), std::min(first, n), TENON_NO_PAGE);
  }
  return {};
}

// Are all pages there that a sequence of n_pages full ones reads from? If not, `next` is the most
// that could be.
bool Engine::restorable(const Request& request, std::size_t n_pages, std::size_t& next) const {
  const std::int32_t computed =
      std::min(static_cast<std::int32_t>(n_pages) * kPageTokens, request.known() - 1);
  next = n_pages;
  for (std::size_t pool = 0; pool < request.kv.size(); ++pool)
    for (std::size_t i = static_cast<std::size_t>(parts_.kv[pool]->first_page(computed)); i < next;
         ++i)
      if (request.kv[pool].hit[i] == TENON_NO_PAGE) next = i;
  return next == n_pages;
}

tenon_request_view Engine::view_of(const Request& request) {
  const tenon_request_pages* views = page_views_.data() + page_views_.size();
  const auto first = static_cast<std::size_t>(request.computed / kPageTokens);
  for (std::size_t i = 0; i < request.kv.size(); ++i) {
    const PageTable& table = request.kv[i];
    const PagePool& pool = parts_.kv[i]->pool();
    // A running request writes into a shared page only when the step that was to copy it failed.
    const bool copies = request.running
                            ? first < table.pages.size() && pool.references(table.pages[first]) > 1
                            : first < table.hit.size();
    std::int32_t freed = 0;
    for (const std::uint32_t page : table.held())
      freed += pool.references(page) == (pool.cached(page) ? 2u : 1u);
    page_views_.push_back({copies ? 1 : 0, freed});
  }
  return {request.id,
          request.id,
          request.known(),
          request.computed,
          request.prompt_tokens(),
          request.limit,
          request.page_count(),
          static_cast<std::int32_t>(std::min<std::uint64_t>(
              stats_.steps - request.last_step, std::numeric_limits<std::int32_t>::max())),
          views};
}

Status Engine::build_view() {
  const ProfileSpan span(parts_.profile, Profile::kView);
  waiting_views_.clear();
  running_views_.clear();
  page_views_.clear();
  pool_views_.clear();
  page_views_.reserve((std::min(waiting_.size(), kWaitingShown) + running_.size()) *
                      parts_.kv.size());  // views point into it
  for (const KvMemory* kv : parts_.kv)
    pool_views_.push_back(
        {kv->available(), kv->window(), static_cast<std::int32_t>(kv->pool().size()), 0});
  for (std::size_t i = 0; i < std::min(waiting_.size(), kWaitingShown); ++i) {
    TENON_TRY(look_up(*waiting_[i]));
    waiting_views_.push_back(view_of(*waiting_[i]));
  }
  for (const auto& request : running_) running_views_.push_back(view_of(*request));
  view_ = {{sizeof view_, 0, nullptr},
           waiting_views_.data(),
           static_cast<std::uint32_t>(waiting_views_.size()),
           static_cast<std::uint32_t>(running_views_.size()),
           running_views_.data(),
           pool_views_.data(),
           static_cast<std::uint32_t>(pool_views_.size()),
           kPageTokens};
  return {};
}

Status Engine::make_plan() {
  const ProfileSpan span(parts_.profile, Profile::kPlanCheck);
  plan_items_.resize(waiting_views_.size() + running_views_.size());
  plan_preempt_.resize(running_views_.size());
  plan_ = {{sizeof plan_, 0, nullptr},
           plan_items_.data(),
           0,
           static_cast<std::uint32_t>(plan_items_.size()),
           plan_preempt_.data(),
           0,
           static_cast<std::uint32_t>(plan_preempt_.size())};
  TENON_TRY(parts_.scheduler.plan(&view_, &plan_));
  // The room is the core's, whatever the plugin has written over it.
  plan_.items = plan_items_.data();
  plan_.max_items = static_cast<std::uint32_t>(plan_items_.size());
  plan_.preempt = plan_preempt_.data();
  plan_.max_preempt = static_cast<std::uint32_t>(plan_preempt_.size());
  TENON_TRY(check_plan(view_, plan_));
  if (plan_.n_items > 0) return {};
  return Error{.code = Code::kInternal,
               .id = "TENON-R041",
               .message = "the scheduler runs nothing although requests are live",
               .where = "plan",
               .found = std::to_string(waiting_.size()) + " waiting, " +
                        std::to_string(running_.size()) + " running, " +
                        std::to_string(parts_.kv[0]->available()) + " pages available"};
}

// The sequence gives its pages up and waits again, at its place in the order of arrival. Its tokens
// stay.
Status Engine::preempt(std::uint64_t id) {
  const auto at = std::find_if(running_.begin(), running_.end(),
                               [id](const auto& request) { return request->id == id; });
  std::unique_ptr<Request> request = std::move(*at);
  running_.erase(at);
  Status status = give_back_pages(*request);
  request->running = false;
  request->computed = 0;
  waiting_.insert(std::find_if(waiting_.begin(), waiting_.end(),
                               [id](const auto& other) { return other->id > id; }),
                  std::move(request));
  ++stats_.preemptions;
  return status;
}

// A waiting request becomes a running one and holds the pages of its prefix hit.
Status Engine::start(std::uint64_t id) {
  const auto at = std::find_if(waiting_.begin(), waiting_.end(),
                               [id](const auto& request) { return request->id == id; });
  if (at == waiting_.end()) return {};
  Request& request = **at;
  Status status;
  for (std::size_t pool = 0; pool < request.kv.size(); ++pool) {
    PageTable& table = request.kv[pool];
    table.pages.assign(table.hit.begin(), table.hit.end());
    table.committed = static_cast<std::int32_t>(table.hit.size());
    table.first = 0;
    while (table.first < table.committed &&
           table.pages[static_cast<std::size_t>(table.first)] == TENON_NO_PAGE)
      ++table.first;
    if (table.held().empty()) continue;
    if (Status shared = parts_.kv[pool]->share(table.held()); !shared.ok())
      status = std::move(shared);
  }
  stats_.prefix_hit_tokens += static_cast<std::uint64_t>(request.computed);
  if (request.cached < 0) request.cached = request.computed;
  request.running = true;
  running_.insert(std::find_if(running_.begin(), running_.end(),
                               [id](const auto& other) { return other->id > id; }),
                  std::move(*at));
  waiting_.erase(at);
  return status;
}

// Pages for positions [begin, end): the first may be shared and is then copied, the rest are new.
Status Engine::reserve_pages(const tenon_plan_item& item) {
  Request& request = *find(running_, item.request);
  const auto first = static_cast<std::size_t>(item.begin / kPageTokens);
  for (std::size_t pool = 0; pool < request.kv.size(); ++pool) {
    std::vector<std::uint32_t>& pages = request.kv[pool].pages;
    if (first < pages.size()) TENON_TRY(parts_.kv[pool]->make_writable(pages[first]));
    while (static_cast<std::int32_t>(pages.size()) < pages_for_tokens(item.end)) {
      TENON_ASSIGN(const std::uint32_t page, parts_.kv[pool]->take());
      pages.push_back(page);
    }
  }
  return {};
}

}  // namespace tenon
