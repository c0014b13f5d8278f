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

  Status lookup(std::uint32_t spec, const tenon_cache_key* keys, std::uint32_t n_keys,
                std::uint32_t* pages) {
    const Spec& kept = of(spec);
    for (std::uint32_t i = 0; i < n_keys; ++i) {
      const auto found = kept.page_of.find(keys[i]);
      pages[i] = found == kept.page_of.end() ? TENON_NO_PAGE : found->second;
    }
    return {};
  }

  Status use(std::uint32_t spec, const std::uint32_t* pages, std::uint32_t n_pages) {
    ++clock_;
    auto& kept = of(spec).kept;
    for (std::uint32_t i = 0; i < n_pages; ++i)
      if (const auto found = kept.find(pages[i]); found != kept.end())
        found->second.last_use = clock_;
    return {};
  }

  Status commit(std::uint32_t spec, const tenon_cache_key* key, std::uint32_t page,
                std::int32_t depth, std::int32_t* accepted) {
    Spec& to = of(spec);
    *accepted = to.page_of.try_emplace(*key, page).second ? 1 : 0;
    if (*accepted) to.kept[page] = {*key, clock_, depth};
    return {};
  }

  Status offer(std::uint32_t spec, tenon_page_offer* out, std::uint32_t max, std::uint32_t* n) {
    *n = 0;
    for (const auto& [page, kept] : of(spec).kept) {
      if (*n == max) break;
      // Depth only breaks ties of recency: a page is far below 2^20 deep.
      out[(*n)++] = {
          page, 0,
          static_cast<double>(kept.last_use) - static_cast<double>(kept.depth) / (1 << 20)};
    }
    return {};
  }

  void evicted(std::uint32_t spec, std::uint32_t page) {
    Spec& from = of(spec);
    const auto found = from.kept.find(page);
    if (found == from.kept.end()) return;
    from.page_of.erase(found->second.key);
    from.kept.erase(found);
  }

 private:
  struct Kept {
    tenon_cache_key key;
    std::uint64_t last_use;
    std::int32_t depth;
  };
  struct Spec {
    std::unordered_map<tenon_cache_key, std::uint32_t, KeyHash, KeyEqual> page_of;
    std::unordered_map<std::uint32_t, Kept> kept;
  };
  Spec& of(std::uint32_t spec) {
    if (specs_.size() <= spec) specs_.resize(spec + 1);
    return specs_[spec];
  }

  std::vector<Spec> specs_;
  std::uint64_t clock_ = 0;
};

}  // namespace

TENON_PLUGIN(Prefix, TENON_CACHE_ID, CacheTable);
