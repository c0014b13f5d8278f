// A scheduler and a cache of the kit's own, as plain as can be, for traces that need one beside the
// plugin under test.
#pragma once

#include <algorithm>
#include <map>
#include <utility>

#include "core/iface/tables.h"
#include "tenon/sdk/page_budget.hpp"
#include "tenon/sdk/tables.hpp"

namespace tenon::conform {

template <class T>
tenon_instance* handle_of(T& object) {
  return reinterpret_cast<tenon_instance*>(&object);
}

// Whoever runs goes on, one request is let in with each step, and the youngest gives way.
class PlainScheduler {
 public:
  iface::Scheduler wrapped() {
    return {&sdk::SchedulerTable<PlainScheduler>::table, handle_of(*this), nullptr};
  }
  sdk::Status plan(const tenon_schedule_view* view, tenon_plan* out);
};

// Keeps every page under the first key it was offered with; the one that was used longest ago is
// worth least.
class PlainCache {
 public:
  iface::Cache wrapped() {
    return {&sdk::CacheTable<PlainCache>::table, handle_of(*this), nullptr};
  }
  sdk::Status lookup(std::uint32_t spec, const tenon_cache_key* keys, std::uint32_t n,
                     std::uint32_t* pages);
  sdk::Status use(std::uint32_t spec, const std::uint32_t* pages, std::uint32_t n);
  sdk::Status commit(std::uint32_t spec, const tenon_cache_key* key, std::uint32_t page,
                     std::int32_t depth, std::int32_t* accepted);
  sdk::Status offer(std::uint32_t spec, tenon_page_offer* out, std::uint32_t max, std::uint32_t* n);
  void evicted(std::uint32_t spec, std::uint32_t page);

 private:
  struct Key {
    std::uint32_t spec;
    std::uint64_t low, high;
    auto operator<=>(const Key&) const = default;
  };
  std::map<Key, std::uint32_t> page_of_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> used_;  // (spec, page): when
  std::uint64_t now_ = 0;
};

}  // namespace tenon::conform
