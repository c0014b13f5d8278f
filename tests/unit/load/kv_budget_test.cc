#include "core/load/kv_budget.h"

#include <gtest/gtest.h>

namespace tenon {
namespace {

// A model like Gemma 3 270M: 15 layers with a window of 512, 3 without.
std::vector<KvPoolSize> two_pools() { return {{512, 983040, 0}, {0, 196608, 0}}; }

std::uint64_t bytes_of(const std::vector<KvPoolSize>& pools) {
  std::uint64_t bytes = 0;
  for (const KvPoolSize& pool : pools) bytes += pool.page_bytes * pool.n_pages;
  return bytes;
}

TEST(KvBudget, OnePoolGetsItAll) {
  std::vector<KvPoolSize> pools = {{0, 1000, 0}};
  ASSERT_TRUE(size_kv_pools(pools, {.kv_pages = 40}, 8192, "m").ok());
  EXPECT_EQ(pools[0].n_pages, 40u);
  ASSERT_TRUE(size_kv_pools(pools, {.kv_bytes = 40999}, 8192, "m").ok());
  EXPECT_EQ(pools[0].n_pages, 40u);
  ASSERT_TRUE(size_kv_pools(pools, {}, 8192, "m").ok());
  EXPECT_EQ(pools[0].n_pages, 258u);  // two sequences of 128 pages, and one page more each
}

TEST(KvBudget, BytesAreForAllPoolsTogether) {
  for (const std::int64_t bytes : {std::int64_t{10} << 20, std::int64_t{1} << 30}) {
    std::vector<KvPoolSize> pools = two_pools();
    ASSERT_TRUE(size_kv_pools(pools, {.kv_bytes = bytes}, 32768, "m").ok());
    EXPECT_LE(bytes_of(pools), static_cast<std::uint64_t>(bytes));
    EXPECT_GT(bytes_of(pools), static_cast<std::uint64_t>(bytes) * 8 / 10);
    EXPECT_LT(pools[0].n_pages, pools[1].n_pages);
  }
}

TEST(KvBudget, AWindowThatCoversTheContextSavesNothing) {
  std::vector<KvPoolSize> pools = two_pools();
  ASSERT_TRUE(size_kv_pools(pools, {.kv_pages = 20}, 512, "m").ok());
  EXPECT_EQ(pools[0].n_pages, 20u);
  EXPECT_EQ(pools[1].n_pages, 20u);
}

TEST(KvBudget, BelowTwoPagesIsRefused) {
  std::vector<KvPoolSize> pools = two_pools();
  const Status status = size_kv_pools(pools, {.kv_bytes = 1 << 20}, 32768, "m.textproto");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().id, "TENON-R057");
  EXPECT_EQ(status.error().where, "m.textproto");
}

}  // namespace
}  // namespace tenon
