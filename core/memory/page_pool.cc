#include "core/memory/page_pool.h"

namespace tenon {

PagePool::PagePool(std::uint32_t n_pages) : references_(n_pages, 0), cached_(n_pages, false) {
  free_.reserve(n_pages);
  for (std::uint32_t page = n_pages; page > 0; --page) free_.push_back(page - 1);
}

template <class F>
void PagePool::change(std::uint32_t page, F&& f) {
  const bool before = is_evictable(page);
  f();
  const bool after = is_evictable(page);
  if (before && !after) --evictable_;
  if (!before && after) ++evictable_;
}

std::optional<std::uint32_t> PagePool::take() {
  if (free_.empty()) return std::nullopt;
  const std::uint32_t page = free_.back();
  free_.pop_back();
  references_[page] = 1;
  return page;
}

void PagePool::retain(std::uint32_t page) {
  change(page, [&] { ++references_[page]; });
}

bool PagePool::release(std::uint32_t page) {
  change(page, [&] { --references_[page]; });
  if (references_[page] > 0) return false;
  free_.push_back(page);
  return true;
}

void PagePool::set_cached(std::uint32_t page, bool cached) {
  change(page, [&] { cached_[page] = cached; });
}

}  // namespace tenon
