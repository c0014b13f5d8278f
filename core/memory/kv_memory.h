// KV pages of one cache spec for sequences: takes them from the pool, evicts what caches offer when
// the pool is empty, shares and copies pages. Caches score, the core decides; keys are made here so
// that no plugin can answer for another's state.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/iface/tables.h"
#include "core/memory/page_pool.h"

namespace tenon {

// The key of a page: its tokens after everything before it. `seed` or the key of the page before.
tenon_cache_key page_key(std::span<const std::int32_t> tokens, const Hash128& before);

class KvMemory {
 public:
  struct Options {
    std::uint32_t spec = 0;
    std::int32_t window = 0;  // tokens of a sequence whose pages are kept; 0: all
    std::uint32_t n_pages = 0;
    bool poison_free_pages = false;  // a freed page is filled with NaN
  };
  // The pool has been created in each backend beforehand: one a rank, all with the same page ids.
  KvMemory(Options options, std::vector<iface::Backend> backends, std::vector<iface::Cache> caches);

  std::int32_t window() const { return options_.window; }
  // The first page that a row at `position` still reads.
  std::int32_t first_page(std::int32_t position) const {
    return options_.window > 0 ? std::max(0, position - options_.window + 1) / kPageTokens : 0;
  }
  const PagePool& pool() const { return pool_; }
  // Free pages and those that only caches hold.
  std::int32_t available() const {
    return static_cast<std::int32_t>(pool_.free() + pool_.evictable());
  }

  // For each key the page that the first cache of the chain to know it keeps, or TENON_NO_PAGE.
  // Takes no reference. TENON-R033: an answer names a page that was not offered under that key.
  Status lookup(std::span<const tenon_cache_key> keys, std::span<std::uint32_t> pages);
  // A sequence now holds these pages of a hit.
  Status share(std::span<const std::uint32_t> pages);
  // Tells the caches that these pages served a sequence until now.
  Status used(std::span<const std::uint32_t> pages);
  // A page for one sequence; evicts if it must. TENON-R032 when nothing can be had.
  Result<std::uint32_t> take();
  // The sequence is about to write into `page`: a shared one is copied first.
  Status make_writable(std::uint32_t& page);
  Status release(std::uint32_t page);
  // Offers a page that has become full and valid on all layers to the caches in order.
  Status commit(const tenon_cache_key& key, std::uint32_t page, std::int32_t depth);

 private:
  Status evict_one();
  bool holds(std::size_t cache, const tenon_cache_key& key, std::uint32_t page) const;

  Options options_;
  std::vector<iface::Backend> backends_;
  std::vector<iface::Cache> caches_;
  PagePool pool_;
  std::vector<std::uint8_t> owner_;       // which cache of the chain keeps a page, while cached
  std::vector<tenon_cache_key> key_of_;   // under which it was offered, while cached
  std::vector<tenon_page_offer> offers_;  // room for one cache's whole answer
  std::vector<std::uint32_t> answer_;     // of a cache behind the first
};

}  // namespace tenon
