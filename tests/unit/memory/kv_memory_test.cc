#include "core/memory/kv_memory.h"

#include <gtest/gtest.h>

#include <functional>

#include "tenon/sdk/tables.hpp"

namespace tenon {
namespace {

// A cache that keeps everything and answers what the test says.
struct FakeCache {
  std::vector<std::uint32_t> answer;
  bool use_fails = false;

  sdk::Status lookup(std::uint32_t, const tenon_cache_key*, std::uint32_t n, std::uint32_t* pages) {
    std::fill_n(pages, n, TENON_NO_PAGE);
    std::copy(answer.begin(), answer.end(), pages);
    return {};
  }
  sdk::Status use(std::uint32_t, const std::uint32_t*, std::uint32_t) {
    return use_fails ? sdk::Status(TENON_INTERNAL, "use") : sdk::Status();
  }
  sdk::Status commit(std::uint32_t, const tenon_cache_key*, std::uint32_t, std::int32_t,
                     std::int32_t* accepted) {
    *accepted = 1;
    return {};
  }
  sdk::Status offer(std::uint32_t, tenon_page_offer*, std::uint32_t, std::uint32_t* n) {
    *n = 0;
    return {};
  }
  void evicted(std::uint32_t, std::uint32_t) {}

  iface::Cache wrap() {
    return {&sdk::CacheTable<FakeCache>::table, reinterpret_cast<tenon_instance*>(this), nullptr};
  }
};

// Only the slot that copies a page is there.
struct FakeBackend {
  tenon_backend_v1 table{};
  bool copy_fails = false;
  FakeBackend() {
    table.kv_copy_page = [](tenon_instance* self, std::uint32_t, std::uint32_t, std::uint32_t,
                            tenon_call*) -> tenon_status {
      return reinterpret_cast<FakeBackend*>(self)->copy_fails ? TENON_INTERNAL : TENON_OK;
    };
  }
  iface::Backend wrap() { return {&table, reinterpret_cast<tenon_instance*>(this), nullptr}; }
};

std::string error_of(const auto& result) { return result.ok() ? "" : result.error().id; }

TEST(KvMemory, ACacheAnswersOnlyWithPagesThatWereOfferedUnderTheKey) {
  FakeCache first, second;
  FakeBackend backend;
  KvMemory memory({.n_pages = 4}, {backend.wrap()}, {first.wrap(), second.wrap()});
  const tenon_cache_key keys[] = {{1, 1}, {2, 2}};
  std::uint32_t held[2], pages[2];
  for (int i = 0; i < 2; ++i) {
    held[i] = *memory.take();
    ASSERT_TRUE(memory.commit(keys[i], held[i], i).ok());
  }
  const auto lookup = [&](std::vector<std::uint32_t> answer) {
    first.answer = std::move(answer);
    return error_of(memory.lookup(keys, pages));
  };
  EXPECT_EQ(lookup({held[0], held[1]}), "");
  EXPECT_EQ(lookup({TENON_NO_PAGE, held[1]}), "");
  EXPECT_EQ(pages[0], TENON_NO_PAGE);
  EXPECT_EQ(pages[1], held[1]);
  EXPECT_EQ(lookup({held[1], held[0]}), "TENON-R033");  // kept, but not under these keys
  EXPECT_EQ(lookup({held[0], held[0]}), "TENON-R033");
  EXPECT_EQ(lookup({99}), "TENON-R033");
  EXPECT_EQ(lookup({3}), "TENON-R033");  // no page of a cache
  first.answer = {};
  second.answer = {held[0]};  // the first one's
  EXPECT_EQ(error_of(memory.lookup(keys, pages)), "TENON-R033");
}

TEST(KvMemory, ACopyThatFailsLeavesThePagesAsTheyWere) {
  FakeBackend backend;
  FakeCache cache;
  KvMemory memory({.n_pages = 3}, {backend.wrap()}, {cache.wrap()});
  std::uint32_t page = *memory.take();
  ASSERT_TRUE(memory.commit({1, 1}, page, 0).ok());  // the cache's and the sequence's
  const std::uint32_t before = page;
  backend.copy_fails = true;
  EXPECT_FALSE(memory.make_writable(page).ok());
  EXPECT_EQ(page, before);
  EXPECT_EQ(memory.pool().free(), 2u);
  backend.copy_fails = false;
  EXPECT_TRUE(memory.make_writable(page).ok());
  EXPECT_NE(page, before);
  EXPECT_EQ(memory.pool().free(), 1u);
}

}  // namespace
}  // namespace tenon
