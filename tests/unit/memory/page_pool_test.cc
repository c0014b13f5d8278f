#include "core/memory/page_pool.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>

#include "core/memory/kv_memory.h"

namespace tenon {
namespace {

TEST(Pages, Count) {
  EXPECT_EQ(pages_for_tokens(0), 0);
  EXPECT_EQ(pages_for_tokens(1), 1);
  EXPECT_EQ(pages_for_tokens(64), 1);
  EXPECT_EQ(pages_for_tokens(65), 2);
}

TEST(Pages, AKeyDependsOnItsTokensAndOnAllBefore) {
  const std::vector<std::int32_t> a(64, 1), b(64, 2);
  const tenon_cache_key first = page_key(a, {});
  const auto after = [](const tenon_cache_key& key, const std::vector<std::int32_t>& tokens) {
    return page_key(tokens, {key.low, key.high}).low;
  };
  EXPECT_NE(page_key(a, {}).low, page_key(b, {}).low);
  EXPECT_NE(after(first, b), page_key(b, {}).low);
  EXPECT_EQ(after(first, b), after(page_key(a, {}), b));
}

// Any sequence of operations agrees with a plain model: a map of references.
TEST(PagePool, AgreesWithAPlainModel) {
  EXPECT_TRUE(rc::check([] {
    PagePool pool(5);
    std::map<std::uint32_t, std::uint32_t> references;  // pages in use
    std::map<std::uint32_t, bool> cached;
    for (int step = *rc::gen::inRange(0, 60); step > 0; --step) {
      const int action = *rc::gen::inRange(0, 4);
      if (action == 0) {
        const auto page = pool.take();
        RC_ASSERT(page.has_value() == (references.size() < 5));
        if (page) {
          RC_ASSERT(!references.contains(*page));
          references[*page] = 1;
        }
        continue;
      }
      if (references.empty()) continue;
      auto at = references.begin();
      std::advance(at, *rc::gen::inRange<std::size_t>(0, references.size()));
      if (action == 1) {
        pool.retain(at->first);
        ++at->second;
      } else if (action == 2) {
        if (cached[at->first] && at->second == 1) {  // a cache lets go before its reference does
          pool.set_cached(at->first, false);
          cached[at->first] = false;
        }
        RC_ASSERT(pool.release(at->first) == (at->second == 1));
        if (--at->second == 0) references.erase(at);
      } else {
        cached[at->first] = !cached[at->first];
        pool.set_cached(at->first, cached[at->first]);
      }
      std::uint32_t evictable = 0;
      for (const auto& [page, count] : references) {
        RC_ASSERT(pool.references(page) == count);
        evictable += cached[page] && count == 1;
      }
      RC_ASSERT(pool.evictable() == evictable);
      RC_ASSERT(pool.free() == 5 - references.size());
    }
  }));
}

}  // namespace
}  // namespace tenon
