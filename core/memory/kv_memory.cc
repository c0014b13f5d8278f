#include "core/memory/kv_memory.h"

#include <algorithm>
#include <string>
#include <utility>

namespace tenon {

tenon_cache_key page_key(std::span<const std::int32_t> tokens, const Hash128& before) {
  const Hash128 hash = hash_bytes(std::as_bytes(tokens), before);
  return {hash.low, hash.high};
}

KvMemory::KvMemory(Options options, iface::Backend backend, std::vector<iface::Cache> caches)
    : options_(options),
      backend_(backend),
      caches_(std::move(caches)),
      pool_(options.n_pages),
      owner_(options.n_pages, 0),
      key_of_(options.n_pages),
      offers_(options.n_pages) {}

Result<std::uint32_t> KvMemory::lookup(std::span<const tenon_cache_key> keys,
                                       std::span<std::uint32_t> pages) {
  std::uint32_t best = 0;
  std::vector<std::uint32_t> answer(caches_.size() > 1 ? keys.size() : 0);
  for (std::size_t i = 0; i < caches_.size(); ++i) {
    std::uint32_t* room = i == 0 ? pages.data() : answer.data();
    std::uint32_t hit = 0;
    TENON_TRY(caches_[i].lookup(keys.data(), static_cast<std::uint32_t>(keys.size()), room, &hit));
    if (!holds(i, keys, room, hit))
      return Error{.code = Code::kInternal,
                   .id = "TENON-R033",
                   .message = "a cache answered a lookup with pages that it does not hold",
                   .where = "cache " + std::to_string(i)};
    if (i > 0 && hit > best) std::copy_n(room, hit, pages.data());
    best = std::max(best, hit);
  }
  return best;
}

// Whether a cache keeps these pages under these keys.
bool KvMemory::holds(std::size_t cache, std::span<const tenon_cache_key> keys,
                     const std::uint32_t* pages, std::uint32_t n) const {
  if (n > keys.size()) return false;
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::uint32_t page = pages[i];
    if (page >= pool_.size() || !pool_.cached(page) || owner_[page] != cache ||
        key_of_[page].low != keys[i].low || key_of_[page].high != keys[i].high)
      return false;
  }
  return true;
}

Status KvMemory::share(std::span<const std::uint32_t> pages) {
  for (const std::uint32_t page : pages) pool_.retain(page);
  return used(pages);
}

Status KvMemory::used(std::span<const std::uint32_t> pages) {
  for (const iface::Cache& cache : caches_)
    TENON_TRY(cache.use(pages.data(), static_cast<std::uint32_t>(pages.size())));
  return {};
}

Result<std::uint32_t> KvMemory::take() {
  if (pool_.free() == 0) TENON_TRY(evict_one());
  if (const auto page = pool_.take()) return *page;
  return Error{.code = Code::kResourceExhausted,
               .id = "TENON-R032",
               .message = "no KV page is free and no cache lets one go",
               .found = std::to_string(pool_.size()) + " pages in all",
               .fix = "raise engine.kv_pages"};
}

Status KvMemory::evict_one() {
  const tenon_page_offer* worst = nullptr;
  std::size_t worst_owner = 0;
  tenon_page_offer kept{};
  for (std::size_t i = 0; i < caches_.size(); ++i) {
    std::uint32_t n = 0;
    TENON_TRY(caches_[i].offer(offers_.data(), static_cast<std::uint32_t>(offers_.size()), &n));
    for (std::uint32_t j = 0; j < std::min<std::size_t>(n, offers_.size()); ++j) {
      const tenon_page_offer& offer = offers_[j];
      const bool mine = offer.page < pool_.size() && pool_.cached(offer.page) &&
                        owner_[offer.page] == i && pool_.references(offer.page) == 1;
      if (!mine || (worst != nullptr && offer.value_per_byte >= worst->value_per_byte)) continue;
      kept = offer;
      worst = &kept;
      worst_owner = i;
    }
  }
  if (worst == nullptr) return {};
  caches_[worst_owner].evicted(kept.page);
  pool_.set_cached(kept.page, false);
  return release(kept.page);
}

Status KvMemory::make_writable(std::uint32_t& page) {
  if (pool_.references(page) == 1) return {};
  TENON_ASSIGN(const std::uint32_t copy, take());
  if (Status status = backend_.kv_copy_page(0, page, copy); !status.ok()) {
    pool_.release(copy);
    return status;
  }
  const std::uint32_t shared = std::exchange(page, copy);
  return release(shared);
}

Status KvMemory::release(std::uint32_t page) {
  if (pool_.release(page) && options_.poison_free_pages) return backend_.kv_poison_page(0, page);
  return {};
}

Status KvMemory::commit(const tenon_cache_key& key, std::uint32_t page, std::int32_t depth) {
  if (pool_.cached(page)) return {};
  for (std::size_t i = 0; i < caches_.size(); ++i) {
    std::int32_t accepted = 0;
    TENON_TRY(caches_[i].commit(&key, page, depth, &accepted));
    if (accepted == 0) continue;
    pool_.retain(page);
    pool_.set_cached(page, true);
    owner_[page] = static_cast<std::uint8_t>(i);
    key_of_[page] = key;
    break;
  }
  return {};
}

}  // namespace tenon
