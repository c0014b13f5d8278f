// KV pages for sequences: takes them from the pool, evicts what caches offer when the pool is
// empty, shares and copies pages. Caches score, the core decides; keys are made here so that no
// plugin can answer for another's state.
#pragma once

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
    std::uint32_t n_pages = 0;
    bool poison_free_pages = false;  // a freed page is filled with NaN
  };
  // The pool of spec 0; created in the backend beforehand.
  KvMemory(Options options, iface::Backend backend, std::vector<iface::Cache> caches);

  const PagePool& pool() const { return pool_; }
  // Free pages and those that only caches hold.
  std::int32_t available() const {
    return static_cast<std::int32_t>(pool_.free() + pool_.evictable());
  }

  // The longest prefix of `keys` that a cache of the chain holds. Takes no reference. `pages` has
  // room for all keys. TENON-R033: the answer names a page that was not offered under that key.
  Result<std::uint32_t> lookup(std::span<const tenon_cache_key> keys,
                               std::span<std::uint32_t> pages);
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
  bool holds(std::size_t cache, std::span<const tenon_cache_key> keys, const std::uint32_t* pages,
             std::uint32_t n) const;

  Options options_;
  iface::Backend backend_;
  std::vector<iface::Cache> caches_;
  PagePool pool_;
  std::vector<std::uint8_t> owner_;       // which cache of the chain keeps a page, while cached
  std::vector<tenon_cache_key> key_of_;   // under which it was offered, while cached
  std::vector<tenon_page_offer> offers_;  // room for one cache's whole answer
};

}  // namespace tenon
