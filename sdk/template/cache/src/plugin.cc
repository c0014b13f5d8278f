// Keeps full pages under their keys, and offers the least recently used first. The core makes the
// keys, counts who holds a page, and evicts; a cache remembers and values.
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "tenon/sdk/plugin.hpp"

namespace {

using tenon::sdk::Status;

struct KeyHash {
  std::size_t operator()(const tenon_cache_key& key) const { return key.low; }
};
struct KeyEqual {
  bool operator()(const tenon_cache_key& a, const tenon_cache_key& b) const {
    return a.low == b.low && a.high == b.high;
  }
};

class LeastRecent {
 public:
  LeastRecent(const tenon::sdk::Host&, const tenon::sdk::Params& params)
      : max_pages_(params.get_int("max_pages")) {}

  Status lookup(std::uint32_t spec, const tenon_cache_key* keys, std::uint32_t n_keys,
                std::uint32_t* pages) {
    const Pool& pool = of(spec);
    for (std::uint32_t i = 0; i < n_keys; ++i) {
      const auto found = pool.page_of.find(keys[i]);
      pages[i] = found == pool.page_of.end() ? TENON_NO_PAGE : found->second;
    }
    return {};
  }

  Status use(std::uint32_t spec, const std::uint32_t* pages, std::uint32_t n_pages) {
    ++clock_;
    Pool& pool = of(spec);
    for (std::uint32_t i = 0; i < n_pages; ++i)
      if (const auto kept = pool.kept.find(pages[i]); kept != pool.kept.end())
        kept->second.last_use = clock_;
    return {};
  }

  Status commit(std::uint32_t spec, const tenon_cache_key* key, std::uint32_t page,
                std::int32_t depth, std::int32_t* accepted) {
    Pool& pool = of(spec);
    const bool full = max_pages_ > 0 && static_cast<std::int64_t>(pool.kept.size()) >= max_pages_;
    *accepted = !full && pool.page_of.try_emplace(*key, page).second ? 1 : 0;
    if (*accepted != 0) pool.kept[page] = {*key, clock_, depth};
    return {};
  }

  // Among pages of one age the deeper is worth less: a chain without its head is of no use.
  Status offer(std::uint32_t spec, tenon_page_offer* out, std::uint32_t max, std::uint32_t* n) {
    *n = 0;
    for (const auto& [page, kept] : of(spec).kept) {
      if (*n == max) break;
      out[(*n)++] = {page, 0, static_cast<double>(kept.last_use) - kept.depth * 1e-6};
    }
    return {};
  }

  void evicted(std::uint32_t spec, std::uint32_t page) {
    Pool& pool = of(spec);
    const auto kept = pool.kept.find(page);
    if (kept == pool.kept.end()) return;
    pool.page_of.erase(kept->second.key);
    pool.kept.erase(kept);
  }

 private:
  struct Kept {
    tenon_cache_key key;
    std::uint64_t last_use;
    std::int32_t depth;  // index of the page in its sequence
  };
  struct Pool {
    std::unordered_map<tenon_cache_key, std::uint32_t, KeyHash, KeyEqual> page_of;
    std::unordered_map<std::uint32_t, Kept> kept;  // by page
  };
  Pool& of(std::uint32_t spec) {
    if (pools_.size() <= spec) pools_.resize(spec + 1);
    return pools_[spec];
  }

  std::int64_t max_pages_;
  std::vector<Pool> pools_;  // by cache spec
  std::uint64_t clock_ = 0;
};

}  // namespace

TENON_PLUGIN(LeastRecent, TENON_CACHE_ID, CacheTable);
