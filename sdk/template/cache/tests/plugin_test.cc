// What is kept, found, and offered first.
#include "tenon/sdk/testing.hpp"

using tenon::sdk::testing::FakeHost;
using tenon::sdk::testing::GivenParams;
using tenon::sdk::testing::OpenedPlugin;
using tenon::sdk::testing::outcome;

namespace {

using Cache = OpenedPlugin<tenon_cache_v1>;

bool commit(const Cache& cache, std::uint64_t key, std::uint32_t page, std::int32_t depth) {
  const tenon_cache_key full{key, key};
  std::int32_t accepted = -1;
  TENON_CHECK_OK(outcome([&](tenon_call* call) {
    return cache->commit(cache.self(), 0, &full, page, depth, &accepted, call);
  }));
  return accepted == 1;
}

std::uint32_t lookup(const Cache& cache, std::uint64_t key, std::uint32_t spec = 0) {
  const tenon_cache_key full{key, key};
  std::uint32_t page = 0;
  TENON_CHECK_OK(outcome(
      [&](tenon_call* call) { return cache->lookup(cache.self(), spec, &full, 1, &page, call); }));
  return page;
}

std::uint32_t least_valuable(const Cache& cache) {
  tenon_page_offer offers[8];
  std::uint32_t n = 0;
  TENON_CHECK_OK(outcome(
      [&](tenon_call* call) { return cache->offer(cache.self(), 0, offers, 8, &n, call); }));
  TENON_CHECK(n > 0);
  std::uint32_t least = 0;
  for (std::uint32_t i = 1; i < n; ++i)
    if (offers[i].value_per_byte < offers[least].value_per_byte) least = i;
  return offers[least].page;
}

}  // namespace

int main(int, char** argv) {
  FakeHost host;
  const Cache cache(argv[1], TENON_CACHE_ID, host, GivenParams().set("max_pages", 3));
  TENON_CHECK(lookup(cache, 1) == TENON_NO_PAGE);
  TENON_CHECK(commit(cache, 1, 10, 0) && commit(cache, 2, 11, 1) && commit(cache, 3, 12, 0));
  TENON_CHECK(!commit(cache, 4, 13, 0));  // full
  TENON_CHECK(lookup(cache, 2) == 11 && lookup(cache, 2, 1) == TENON_NO_PAGE);

  TENON_CHECK(least_valuable(cache) == 11);  // the deepest of one age
  const std::uint32_t used[] = {10, 11, 99};
  TENON_CHECK_OK(
      outcome([&](tenon_call* call) { return cache->use(cache.self(), 0, used, 3, call); }));
  TENON_CHECK(least_valuable(cache) == 12);

  cache->evicted(cache.self(), 0, 12);
  TENON_CHECK(lookup(cache, 3) == TENON_NO_PAGE && commit(cache, 4, 12, 0));
  return 0;
}
