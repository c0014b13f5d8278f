#include "core/memory/kv_memory.h"

#include <algorithm>
#include <string>
#include <utility>

namespace tenon {

tenon_cache_key page_key(std::span<const std::int32_t> tokens, const Hash128& before) {
  const Hash128 hash = hash_bytes(std::as_bytes(tokens), before);
  return {hash.low, hash.high};
}

KvMemory::KvMemory(Options options, std::vector<iface::Backend> backends,
                   std::vector<iface::Cache> caches)
    : options_(options),
      backends_(std::move(backends)),
      caches_(std::move(caches)),
      pool_(options.n_pages),
      owner_(options.n_pages, 0),
      key_of_(options.n_pages),
      offers_(options.n_pages) {}

Status KvMemory::lookup(std::span<const tenon_cache_key> keys, std::span<std::uint32_t> pages) {
  std::fill(pages.begin(), pages.end(), TENON_NO_PAGE);
  answer_.resize(std::max(answer_.size(), keys.size()));
  for (std::size_t i = 0; i < caches_.size(); ++i) {
    TENON_TRY(caches_[i].lookup(options_.spec, keys.data(), static_cast<std::uint32_t>(keys.size()),
                                answer_.data()));
    for (std::size_t k = 0; k < keys.size(); ++k) {
      if (answer_[k] == TENON_NO_PAGE) continue;
      if (!holds(i, keys[k], answer_[k]))
        return Error{.code = Code::kInternal,
                     .id = "TENON-R033",
                     .message = "a cache answered a lookup with a page that it does not hold",
                     .where = "cache " + std::to_string(i)};
      if (pages[k] == TENON_NO_PAGE) pages[k] = answer_[k];
    }
  }
  return {};
}

// Whether a cache keeps this page under this key.
bool KvMemory::holds(std::size_t cache, const tenon_cache_key& key, std::uint32_t page) const {
  return page < pool_.size() && pool_.cached(page) && owner_[page] == cache &&
         key_of_[page].low == key.low && key_of_[page].high == key.high;
}

Status KvMemory::share(std::span<const std::uint32_t> pages) {
  for (const std::uint32_t page : pages) pool_.retain(page);
  return used(pages);
}

Status KvMemory::used(std::span<const std::uint32_t> pages) {
  for (const iface::Cache& cache : caches_)
    TENON_TRY(cache.use(options_.spec, pages.data(), static_cast<std::uint32_t>(pages.size())));
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
    TENON_TRY(caches_[i].offer(options_.spec, offers_.data(),
                               static_cast<std::uint32_t>(offers_.size()), &n));
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
  caches_[worst_owner].evicted(options_.spec, kept.page);
  pool_.set_cached(kept.page, false);
  return release(kept.page);
}

Status KvMemory::make_writable(std::uint32_t& page) {
  if (pool_.references(page) == 1) return {};
  TENON_ASSIGN(const std::uint32_t copy, take());
  for (const iface::Backend& backend : backends_)
    if (Status status = backend.kv_copy_page(options_.spec, page, copy); !status.ok()) {
      pool_.release(copy);
      return status;
    }
  const std::uint32_t shared = std::exchange(page, copy);
  return release(shared);
}

Status KvMemory::release(std::uint32_t page) {
  if (!pool_.release(page) || !options_.poison_free_pages) return {};
  Status status;
  for (const iface::Backend& backend : backends_)
    if (Status poisoned = backend.kv_poison_page(options_.spec, page); !poisoned.ok())
      status = std::move(poisoned);
  return status;
}

Status KvMemory::commit(const tenon_cache_key& key, std::uint32_t page, std::int32_t depth) {
  if (pool_.cached(page)) return {};
  for (std::size_t i = 0; i < caches_.size(); ++i) {
    std::int32_t accepted = 0;
    TENON_TRY(caches_[i].commit(options_.spec, &key, page, depth, &accepted));
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
