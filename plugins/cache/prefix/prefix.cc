// Keeps full pages under the hash of everything up to their end. The value of a page is when it
// last served a sequence; of one sequence the later pages are worth less, so that a chain dies from
// its tail and what is left of it can still be hit.
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

class Prefix {
 public:
  Prefix(const tenon::sdk::Host&, const tenon::sdk::Params&) {}

  Status lookup(const tenon_cache_key* keys, std::uint32_t n_keys, std::uint32_t* pages,
                std::uint32_t* n_hit) {
    std::uint32_t hit = 0;
    for (; hit < n_keys; ++hit) {
      const auto found = page_of_.find(keys[hit]);
      if (found == page_of_.end()) break;
      pages[hit] = found->second;
    }
    *n_hit = hit;
    return {};
  }

  Status use(const std::uint32_t* pages, std::uint32_t n_pages) {
    ++clock_;
    for (std::uint32_t i = 0; i < n_pages; ++i)
      if (const auto found = kept_.find(pages[i]); found != kept_.end())
        found->second.last_use = clock_;
    return {};
  }

  Status commit(const tenon_cache_key* key, std::uint32_t page, std::int32_t depth,
                std::int32_t* accepted) {
    *accepted = page_of_.try_emplace(*key, page).second ? 1 : 0;
    if (*accepted) kept_[page] = {*key, clock_, depth};
    return {};
  }

  Status offer(tenon_page_offer* out, std::uint32_t max, std::uint32_t* n) {
    *n = 0;
    for (const auto& [page, kept] : kept_) {
      if (*n == max) break;
      // Depth only breaks ties of recency: a page is far below 2^20 deep.
      out[(*n)++] = {
          page, 0,
          static_cast<double>(kept.last_use) - static_cast<double>(kept.depth) / (1 << 20)};
    }
    return {};
  }

  void evicted(std::uint32_t page) {
    const auto found = kept_.find(page);
    if (found == kept_.end()) return;
    page_of_.erase(found->second.key);
    kept_.erase(found);
  }

 private:
  struct Kept {
    tenon_cache_key key;
    std::uint64_t last_use;
    std::int32_t depth;
  };
  std::unordered_map<tenon_cache_key, std::uint32_t, KeyHash, KeyEqual> page_of_;
  std::unordered_map<std::uint32_t, Kept> kept_;
  std::uint64_t clock_ = 0;
};

}  // namespace

TENON_PLUGIN(Prefix, TENON_CACHE_ID, CacheTable);
