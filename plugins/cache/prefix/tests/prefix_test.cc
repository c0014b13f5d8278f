#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <map>
#include <vector>

#include "tests/fixtures/open_plugin.h"

namespace tenon {
namespace {

constexpr std::uint32_t kSpec = 1;  // not the first one

tenon_cache_key key(std::uint64_t value) { return {value, ~value}; }

std::uint32_t hits(const iface::Cache& cache, const std::vector<std::uint64_t>& keys,
                   std::vector<std::uint32_t>* pages = nullptr) {
  std::vector<tenon_cache_key> wanted;
  for (const std::uint64_t value : keys) wanted.push_back(key(value));
  std::vector<std::uint32_t> room(keys.size() + 1, TENON_NO_PAGE);
  EXPECT_TRUE(
      cache.lookup(kSpec, wanted.data(), static_cast<std::uint32_t>(wanted.size()), room.data())
          .ok());
  std::uint32_t n = 0;
  for (const std::uint32_t page : room) n += page != TENON_NO_PAGE;
  room.pop_back();
  if (pages != nullptr) *pages = room;
  return n;
}

bool commit(const iface::Cache& cache, std::uint64_t value, std::uint32_t page,
            std::int32_t depth) {
  const tenon_cache_key made = key(value);
  std::int32_t accepted = 0;
  EXPECT_TRUE(cache.commit(kSpec, &made, page, depth, &accepted).ok());
  return accepted == 1;
}

void use(const iface::Cache& cache, const std::vector<std::uint32_t>& pages) {
  EXPECT_TRUE(cache.use(kSpec, pages.data(), static_cast<std::uint32_t>(pages.size())).ok());
}

// Pages from the least valuable on.
std::vector<std::uint32_t> order_of_eviction(const iface::Cache& cache) {
  std::vector<tenon_page_offer> offers(64);
  std::uint32_t n = 0;
  EXPECT_TRUE(cache.offer(kSpec, offers.data(), 64, &n).ok());
  offers.resize(n);
  std::sort(offers.begin(), offers.end(),
            [](const auto& a, const auto& b) { return a.value_per_byte < b.value_per_byte; });
  std::vector<std::uint32_t> out;
  for (const tenon_page_offer& offer : offers) out.push_back(offer.page);
  return out;
}

TEST(Prefix, EveryKeyThatIsKeptIsAnswered) {
  const OpenPlugin plugin("tenon.cache.prefix");
  const auto cache = plugin.as<iface::Cache, tenon_cache_v1>(TENON_CACHE_ID);
  EXPECT_TRUE(commit(cache, 1, 10, 0));
  EXPECT_TRUE(commit(cache, 2, 11, 1));
  EXPECT_TRUE(commit(cache, 4, 13, 3));
  std::vector<std::uint32_t> pages;
  EXPECT_EQ(hits(cache, {1, 2, 3, 4}, &pages), 3u);
  EXPECT_EQ(pages, (std::vector<std::uint32_t>{10, 11, TENON_NO_PAGE, 13}));
  EXPECT_EQ(hits(cache, {9, 8}), 0u);
  EXPECT_EQ(hits(cache, {}), 0u);
}

TEST(Prefix, SpecsAreApart) {
  const OpenPlugin plugin("tenon.cache.prefix");
  const auto cache = plugin.as<iface::Cache, tenon_cache_v1>(TENON_CACHE_ID);
  EXPECT_TRUE(commit(cache, 1, 10, 0));
  const tenon_cache_key wanted = key(1);
  std::uint32_t page = 0, n = 0;
  EXPECT_TRUE(cache.lookup(kSpec + 1, &wanted, 1, &page).ok());
  EXPECT_EQ(page, TENON_NO_PAGE);
  cache.evicted(kSpec + 1, 10);
  EXPECT_EQ(hits(cache, {1}), 1u);
  tenon_page_offer offer;
  EXPECT_TRUE(cache.offer(0, &offer, 1, &n).ok());
  EXPECT_EQ(n, 0u);
}

TEST(Prefix, AKnownKeyIsNotTakenTwice) {
  const OpenPlugin plugin("tenon.cache.prefix");
  const auto cache = plugin.as<iface::Cache, tenon_cache_v1>(TENON_CACHE_ID);
  EXPECT_TRUE(commit(cache, 1, 10, 0));
  EXPECT_FALSE(commit(cache, 1, 20, 0));
}

TEST(Prefix, AChainDiesFromItsTailAndTheUnusedOneFirst) {
  const OpenPlugin plugin("tenon.cache.prefix");
  const auto cache = plugin.as<iface::Cache, tenon_cache_v1>(TENON_CACHE_ID);
  for (std::uint32_t i = 0; i < 3; ++i) commit(cache, 1 + i, 10 + i, static_cast<std::int32_t>(i));
  use(cache, {10, 11, 12});
  for (std::uint32_t i = 0; i < 2; ++i) commit(cache, 20 + i, 30 + i, static_cast<std::int32_t>(i));
  use(cache, {30, 31});
  EXPECT_EQ(order_of_eviction(cache), (std::vector<std::uint32_t>{12, 11, 10, 31, 30}));
  use(cache, {10, 11, 12});
  EXPECT_EQ(order_of_eviction(cache), (std::vector<std::uint32_t>{31, 30, 12, 11, 10}));
}

TEST(Prefix, AgreesWithAMap) {
  EXPECT_TRUE(rc::check([] {
    const OpenPlugin plugin("tenon.cache.prefix");
    const auto cache = plugin.as<iface::Cache, tenon_cache_v1>(TENON_CACHE_ID);
    std::map<std::uint64_t, std::uint32_t> kept;
    std::uint32_t next_page = 0;
    for (int step = *rc::gen::inRange(0, 40); step > 0; --step) {
      const std::uint64_t value = *rc::gen::inRange<std::uint64_t>(0, 8);
      switch (*rc::gen::inRange(0, 3)) {
        case 0:
          RC_ASSERT(commit(cache, value, next_page, 0) == !kept.contains(value));
          kept.try_emplace(value, next_page++);
          break;
        case 1:
          if (kept.contains(value)) {
            cache.evicted(kSpec, kept[value]);
            kept.erase(value);
          } else {
            cache.evicted(kSpec, 1000);  // unknown: nothing happens
          }
          break;
        default:
          RC_ASSERT(hits(cache, {value}) == kept.count(value));
      }
    }
    RC_ASSERT(order_of_eviction(cache).size() == kept.size());
  }));
}

}  // namespace
}  // namespace tenon
