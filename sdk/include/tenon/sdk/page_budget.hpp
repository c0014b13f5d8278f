// The arithmetic of pages for schedulers: what a plan takes from the pools of a view. A request's
// item needs the same new pages in every pool; pools differ in what is free and in what they give
// back, because a pool with a window lets a sequence's old pages go.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "tenon/abi/scheduler.h"

namespace tenon::sdk {

class PageBudget {
 public:
  static constexpr std::uint32_t kMostPools = 8;  // the core has no more specs

  explicit PageBudget(const tenon_schedule_view& view)
      : view_(&view), n_(std::min(view.n_pools, kMostPools)) {
    for (std::uint32_t i = 0; i < n_; ++i) free_[i] = view.pools[i].free_pages;
  }

  std::int64_t pages(std::int64_t tokens) const {
    return (tokens + view_->page_tokens - 1) / view_->page_tokens;
  }
  // The smallest number of pages that every pool has left.
  std::int64_t free() const { return *std::min_element(free_.begin(), free_.begin() + n_); }

  // Can the request run up to token `end` with the pages that are left?
  bool fits(const tenon_request_view& r, std::int64_t end) const {
    for (std::uint32_t i = 0; i < n_; ++i)
      if (wanted(r, end, i) > free_[i]) return false;
    return true;
  }
  // The largest end <= `end` that fits; r.computed when there is none.
  std::int32_t furthest(const tenon_request_view& r, std::int32_t end) const {
    std::int64_t most = end;
    for (std::uint32_t i = 0; i < n_; ++i) {
      if (wanted(r, end, i) <= free_[i]) continue;
      const std::int64_t room = free_[i] - r.pages[i].extra;
      if (room < 0) return r.computed;
      most = std::min(most, (passed(r, i) + room) * view_->page_tokens);
    }
    return static_cast<std::int32_t>(std::max<std::int64_t>(most, r.computed));
  }
  void take(const tenon_request_view& r, std::int64_t end) {
    for (std::uint32_t i = 0; i < n_; ++i) free_[i] -= wanted(r, end, i);
  }
  // The request is preempted.
  void give_back(const tenon_request_view& r) {
    for (std::uint32_t i = 0; i < n_; ++i) free_[i] += r.pages[i].freed;
  }
  // Sets aside what a request that has run up to `end` will need to reach `tokens` in steps of at
  // most `chunk` tokens. In a pool with a window that is never more than window and chunk fill.
  void set_aside(const tenon_request_view& r, std::int64_t end, std::int64_t tokens,
                 std::int64_t chunk) {
    const std::int64_t have = std::max<std::int64_t>(pages(end), r.held_pages);
    for (std::uint32_t i = 0; i < n_; ++i) {
      std::int64_t more = std::max<std::int64_t>(0, pages(tokens) - have);
      const std::int64_t window = view_->pools[i].window;
      if (window > 0) {
        const std::int64_t most = pages(window + chunk) + 1;
        more = std::min(more, std::max<std::int64_t>(0, most - std::min(have, pages(window))));
      }
      free_[i] -= more;
    }
  }
  // Sets aside a part of each pool.
  void keep(double part) {
    for (std::uint32_t i = 0; i < n_; ++i)
      free_[i] -= static_cast<std::int64_t>(part * static_cast<double>(view_->pools[i].pages));
  }
  // Sets pages aside in every pool.
  void set_aside(std::int64_t n_pages) {
    for (std::uint32_t i = 0; i < n_; ++i) free_[i] -= n_pages;
  }

 private:
  std::int64_t wanted(const tenon_request_view& r, std::int64_t end, std::uint32_t pool) const {
    return std::max<std::int64_t>(0, pages(end) - passed(r, pool)) + r.pages[pool].extra;
  }
  // Pages of the request that take none of the free ones: those that its tokens have taken, and of
  // a prefix hit those that no row to come reads, because they have left the pool's window.
  std::int64_t passed(const tenon_request_view& r, std::uint32_t pool) const {
    const std::int64_t window = view_->pools[pool].window;
    const std::int64_t unread =
        window > 0 ? std::max<std::int64_t>(0, r.computed - window + 1) / view_->page_tokens : 0;
    return std::max<std::int64_t>(r.held_pages, unread);
  }

  const tenon_schedule_view* view_;
  std::uint32_t n_;
  std::array<std::int64_t, kMostPools> free_{};
};

}  // namespace tenon::sdk
