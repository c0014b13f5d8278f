// The pages of one cache spec: who holds them, how many could be had. A page is 64 tokens of KV on
// all layers of the spec.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace tenon {

inline constexpr std::int32_t kPageTokens = 64;

// Pages that `tokens` tokens fill or begin.
constexpr std::int32_t pages_for_tokens(std::int32_t tokens) {
  return (tokens + kPageTokens - 1) / kPageTokens;
}

class PagePool {
 public:
  explicit PagePool(std::uint32_t n_pages);

  std::uint32_t size() const { return static_cast<std::uint32_t>(references_.size()); }
  std::uint32_t free() const { return static_cast<std::uint32_t>(free_.size()); }
  // Pages that a cache alone holds: free plus these could be had.
  std::uint32_t evictable() const { return evictable_; }
  std::uint32_t references(std::uint32_t page) const { return references_[page]; }
  bool cached(std::uint32_t page) const { return cached_[page]; }

  // A free page with one reference; nothing when none is free.
  std::optional<std::uint32_t> take();
  void retain(std::uint32_t page);
  // True when that was the last reference and the page is free again.
  bool release(std::uint32_t page);
  // One of the page's references is (or is no longer) a cache's.
  void set_cached(std::uint32_t page, bool cached);

 private:
  bool is_evictable(std::uint32_t page) const { return cached_[page] && references_[page] == 1; }
  template <class F>
  void change(std::uint32_t page, F&& f);

  std::vector<std::uint32_t> references_;
  std::vector<bool> cached_;
  std::vector<std::uint32_t> free_;  // a stack: a page just freed is warm
  std::uint32_t evictable_ = 0;
};

}  // namespace tenon
