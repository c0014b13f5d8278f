#include "core/base/stripe_pool.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

namespace tenon {
namespace {

struct AddArgs {
  std::vector<std::uint32_t>* hits;
  std::uint32_t expected;  // what every cell must hold before this command
};

void add_one(const void* raw, std::uint32_t stripe, std::uint32_t count, std::uint32_t) {
  const auto& args = *static_cast<const AddArgs*>(raw);
  for (std::size_t i = stripe; i < args.hits->size(); i += count)
    if ((*args.hits)[i] == args.expected) ++(*args.hits)[i];
}

class StripePoolOfThreads : public testing::TestWithParam<std::uint32_t> {};

// Each command only advances cells that the one before has advanced: a lost, doubled or reordered
// stripe sticks out.
TEST_P(StripePoolOfThreads, CommandsRunInOrderAndEachStripeOnce) {
  StripePool pool(GetParam());
  std::vector<std::uint32_t> hits(97, 0);
  constexpr std::uint32_t kCommands = 3000;
  for (std::uint32_t i = 0; i < kCommands; ++i) {
    const AddArgs args{&hits, i};
    pool.submit(add_one, &args, sizeof args, 1 + i % 13);
    if (i % 701 == 0) pool.wait();
  }
  pool.wait();
  for (const std::uint32_t hit : hits) EXPECT_EQ(hit, kCommands);
  EXPECT_EQ(pool.commands(), kCommands);
}

INSTANTIATE_TEST_SUITE_P(Threads, StripePoolOfThreads, testing::Values(1, 2, 3, 5));

// Both threads are held in their first stripe until the other has one.
TEST(StripePool, AThreadTakesItsOwnPartFirst) {
  StripePool pool(2);
  if (pool.threads() < 2) GTEST_SKIP() << "the system gives one thread alone";
  struct Seen {
    std::array<std::atomic<int>, 2> first{-1, -1};
    std::array<std::atomic<int>, 9> by{};
  } seen;
  auto* args = &seen;
  const auto run = [](const void* raw, std::uint32_t stripe, std::uint32_t, std::uint32_t worker) {
    Seen& s = **static_cast<Seen* const*>(raw);
    s.by[stripe].fetch_add(1);
    if (s.first[worker] >= 0) return;
    s.first[worker] = static_cast<int>(stripe);
    while (s.first[1 - worker] < 0) std::this_thread::yield();
  };
  pool.submit(run, &args, sizeof args, 9);
  pool.wait();
  EXPECT_EQ(seen.first[0], 0);
  EXPECT_EQ(seen.first[1], 4);  // [0, 4) and [4, 9)
  for (const std::atomic<int>& count : seen.by) EXPECT_EQ(count, 1);
}

// Each worker says on which processors it may run.
TEST(StripePool, PinnedWorkersKeepToOneProcessorEach) {
  cpu_set_t allowed;
  ASSERT_EQ(::sched_getaffinity(0, sizeof allowed, &allowed), 0);
  for (const bool pinned : {false, true}) {
    StripePool pool(3, 1, pinned ? std::optional(1u) : std::nullopt);
    std::array<std::atomic<int>, 3> processors{};
    auto* seen = &processors;
    const auto look = [](const void* args, std::uint32_t, std::uint32_t, std::uint32_t worker) {
      cpu_set_t mine;
      ::sched_getaffinity(0, sizeof mine, &mine);
      (**static_cast<decltype(seen) const*>(args))[worker].store(CPU_COUNT(&mine));
    };
    for (int i = 0; i < 100000 && (processors[1] == 0 || processors[2] == 0); ++i) {
      pool.submit(look, &seen, sizeof seen, 3);
      pool.wait();
    }
    for (const std::size_t worker : {1u, 2u})
      if (processors[worker] != 0) {
        EXPECT_EQ(processors[worker], pinned ? 1 : CPU_COUNT(&allowed)) << worker;
      }
    EXPECT_EQ(CPU_COUNT(&allowed), [] {
      cpu_set_t now;
      ::sched_getaffinity(0, sizeof now, &now);
      return CPU_COUNT(&now);
    }());
  }
}

TEST(StripePool, SleepingWorkersWakeUp) {
  StripePool pool(3);
  std::vector<std::uint32_t> hits(16, 0);
  for (std::uint32_t i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(
        std::chrono::milliseconds(20));  // long enough for workers to go to sleep
    const AddArgs args{&hits, i};
    pool.submit(add_one, &args, sizeof args, 16);
    pool.wait();
  }
  EXPECT_EQ(std::accumulate(hits.begin(), hits.end(), 0u), 48u);
}

// Every stack is address space; a program that may not have more gets by with fewer threads.
TEST(StripePoolDeathTest, WorksWithTheThreadsThatTheSystemGives) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's shadow is beyond every limit";
#endif
  const auto run = [] {
    const rlimit limit{std::size_t{1} << 30, std::size_t{1} << 30};
    if (::setrlimit(RLIMIT_AS, &limit) != 0) std::exit(3);
    bool fewer = false, ran = false;
    {
      StripePool pool(1000);
      fewer = pool.threads() < 1000;
      const bool* const done = &ran;
      pool.submit([](const void* args, std::uint32_t, std::uint32_t,
                     std::uint32_t) { **static_cast<bool* const*>(args) = true; },
                  &done, sizeof done, 1);
    }
    std::exit(fewer && ran ? 0 : 4);
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace tenon
