#include "core/conform/plain_plugins.h"

namespace tenon::conform {

sdk::Status PlainScheduler::plan(const tenon_schedule_view* view, tenon_plan* out) {
  out->n_items = out->n_preempt = 0;
  sdk::PageBudget budget(*view);
  const auto run = [&](const tenon_request_view& r) {
    const std::int32_t end = budget.furthest(r, r.known);
    if (end <= r.computed) return;
    budget.take(r, end);
    out->items[out->n_items++] = {r.id, r.computed, end};
  };
  for (std::uint32_t i = 0; i < view->n_running; ++i) run(view->running[i]);
  if (view->n_waiting > 0) run(view->waiting[0]);
  if (out->n_items > 0 || view->n_running < 2) return {};
  const tenon_request_view& youngest = view->running[view->n_running - 1];
  out->preempt[out->n_preempt++] = youngest.id;
  budget.give_back(youngest);
  run(view->running[0]);
  return {};
}

sdk::Status PlainCache::lookup(std::uint32_t spec, const tenon_cache_key* keys, std::uint32_t n,
                               std::uint32_t* pages) {
  for (std::uint32_t i = 0; i < n; ++i) {
    const auto at = page_of_.find({spec, keys[i].low, keys[i].high});
    pages[i] = at == page_of_.end() ? TENON_NO_PAGE : at->second;
  }
  return {};
}

sdk::Status PlainCache::use(std::uint32_t spec, const std::uint32_t* pages, std::uint32_t n) {
  ++now_;
  for (std::uint32_t i = 0; i < n; ++i)
    if (const auto at = used_.find({spec, pages[i]}); at != used_.end()) at->second = now_;
  return {};
}

sdk::Status PlainCache::commit(std::uint32_t spec, const tenon_cache_key* key, std::uint32_t page,
                               std::int32_t, std::int32_t* accepted) {
  *accepted = page_of_.try_emplace({spec, key->low, key->high}, page).second;
  if (*accepted != 0) used_[{spec, page}] = ++now_;
  return {};
}

sdk::Status PlainCache::offer(std::uint32_t spec, tenon_page_offer* out, std::uint32_t max,
                              std::uint32_t* n) {
  *n = 0;
  for (const auto& [key, when] : used_)
    if (key.first == spec && *n < max) out[(*n)++] = {key.second, 0, static_cast<double>(when)};
  return {};
}

void PlainCache::evicted(std::uint32_t spec, std::uint32_t page) {
  used_.erase({spec, page});
  std::erase_if(page_of_, [&](const auto& entry) {
    return entry.first.spec == spec && entry.second == page;
  });
}

}  // namespace tenon::conform
