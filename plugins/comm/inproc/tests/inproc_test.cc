#include <gtest/gtest.h>

#include <thread>

#include "core/base/stripe_pool.h"
#include "tests/fixtures/open_plugin.h"

namespace tenon {
namespace {

// A rank's host: a stream of its own.
struct RankHost {
  StripePool pool;
  tenon_threads_v1 table = iface::make_threads_table(this);
  tenon_host host{};

  explicit RankHost(std::uint32_t threads) : pool(threads, 3) {
    host = {{sizeof host, 0, nullptr},
            this,
            [](void*, std::int32_t, tenon_str) {},
            [](void* ctx, const char* id) -> const void* {
              return std::string_view(id) == TENON_THREADS_ID ? &static_cast<RankHost*>(ctx)->table
                                                              : nullptr;
            }};
  }
  void submit(tenon_stripe_fn f, const void* args, std::uint64_t bytes, std::uint32_t stripes) {
    pool.submit(f, args, bytes, stripes);
  }
  void wait() { pool.wait(); }
  std::uint32_t count() { return pool.threads(); }
  std::uint32_t stripes_per_thread() { return pool.stripes_per_thread(); }
};

class Ranks {
 public:
  explicit Ranks(std::uint32_t n, std::uint32_t threads = 2) : plugin_("tenon.comm.inproc") {
    comm = plugin_.as<iface::Comm, tenon_comm_v1>(TENON_COMM_ID);
    for (std::uint32_t rank = 0; rank < n; ++rank) {
      hosts.push_back(std::make_unique<RankHost>(threads));
      EXPECT_TRUE(comm.attach(rank, n, &hosts.back()->host).ok());
    }
  }
  // Runs f(rank) on a thread for each.
  template <class F>
  void each(F&& f) {
    std::vector<std::thread> threads;
    for (std::uint32_t rank = 0; rank < hosts.size(); ++rank)
      threads.emplace_back([&f, rank] { f(rank); });
    for (std::thread& thread : threads) thread.join();
  }
  template <class Real>
  Status sum(std::uint32_t rank, std::vector<Real>& in, std::vector<Real>& out) {
    std::int64_t shape[] = {static_cast<std::int64_t>(in.size())}, strides[] = {1};
    const tenon_dl_type type{2, sizeof(Real) * 8, 1};
    const tenon_view from{in.data(), {1, 0}, 1, type, shape, strides, 0},
        to{out.data(), {1, 0}, 1, type, shape, strides, 0};
    return comm.all_reduce(rank, &from, &to);
  }

  OpenPlugin plugin_;
  std::vector<std::unique_ptr<RankHost>> hosts;
  iface::Comm comm;
};

// Numbers whose sum depends on the order.
float value_of(std::uint32_t rank, int round, std::size_t i) {
  const float scales[] = {1e7f, 1.0f, 1e-3f, -1e7f};
  return scales[(rank + i) % 4] * (1 + static_cast<float>((i * 7 + rank * 3) % 11)) +
         static_cast<float>(round);
}

TEST(Inproc, SumsInTheOrderOfRanksAgainAndAgain) {
  for (const std::uint32_t n : {1u, 2u, 3u, 5u}) {
    Ranks ranks(n);
    ranks.each([&](std::uint32_t rank) {
      // Queued without waiting in between; sizes grow and shrink.
      const std::size_t sizes[] = {1, 1000, 3, 5000, 64, 64, 64, 20000};
      std::vector<std::vector<float>> in, out;
      for (int round = 0; round < 8; ++round) {
        in.emplace_back(sizes[round]);
        out.emplace_back(sizes[round], -1.0f);
        for (std::size_t i = 0; i < in.back().size(); ++i) in.back()[i] = value_of(rank, round, i);
      }
      for (std::size_t round = 0; round < 8; ++round)
        ASSERT_TRUE(ranks.sum(rank, in[round], out[round]).ok());
      ranks.hosts[rank]->pool.wait();
      for (int round = 0; round < 8; ++round)
        for (std::size_t i = 0; i < sizes[round]; ++i) {
          float want = value_of(0, round, i);
          for (std::uint32_t other = 1; other < n; ++other) want += value_of(other, round, i);
          ASSERT_EQ(out[static_cast<std::size_t>(round)][i], want) << n << " ranks";
        }
    });
  }
}

TEST(Inproc, SumsDoubles) {
  Ranks ranks(3, 1);
  ranks.each([&](std::uint32_t rank) {
    std::vector<double> in(100, 0.1 * (rank + 1)), out(100);
    ASSERT_TRUE(ranks.sum(rank, in, out).ok());
    ranks.hosts[rank]->pool.wait();
    EXPECT_EQ(out[99], 0.1 * 1 + 0.1 * 2 + 0.1 * 3);
  });
}

TEST(Inproc, RanksAgreeOnAValueOrLearnThatTheyDoNot) {
  Ranks ranks(3);
  ranks.each([&](std::uint32_t rank) {
    for (std::uint64_t round = 0; round < 100; ++round) {
      std::int32_t equal = -1;
      ASSERT_TRUE(
          ranks.comm.agree(rank, round % 10 == 3 && rank == 2 ? 0 : round + 1, &equal).ok());
      ASSERT_EQ(equal, round % 10 == 3 ? 0 : 1) << round;
    }
  });
}

TEST(Inproc, NobodyWaitsForARankThatHasFailed) {
  Ranks ranks(3);
  for (int round = 0; round < 3; ++round) {
    ranks.each([&](std::uint32_t rank) {
      std::vector<float> in(10, 1.0f), out(10);
      if (rank == 1) return ranks.comm.fail();
      (void)ranks.sum(rank, in, out);
      ranks.hosts[rank]->pool.wait();  // would hang
      EXPECT_EQ(ranks.comm.check(rank).error().code, Code::kUnavailable);
      std::int32_t equal = 0;
      EXPECT_FALSE(ranks.comm.agree(rank, 1, &equal).ok());
      EXPECT_FALSE(ranks.sum(rank, in, out).ok());
    });
    ranks.comm.reset();
    ranks.each([&](std::uint32_t rank) {
      std::vector<float> in(10, 1.0f), out(10);
      ASSERT_TRUE(ranks.sum(rank, in, out).ok());
      ranks.hosts[rank]->pool.wait();
      EXPECT_TRUE(ranks.comm.check(rank).ok());
      EXPECT_EQ(out[9], 3.0f);
    });
  }
}

TEST(Inproc, RanksThatAddDifferentThingsAreNoticed) {
  Ranks ranks(2);
  ranks.each([&](std::uint32_t rank) {
    std::vector<float> in(rank == 0 ? 10 : 11, 1.0f), out(in.size());
    ASSERT_TRUE(ranks.sum(rank, in, out).ok());
    ranks.hosts[rank]->pool.wait();
  });
  EXPECT_FALSE(ranks.comm.check(0).ok());
}

TEST(Inproc, OtherNumbersAndRanksThatAreNotThereAreRefused) {
  Ranks ranks(2);
  EXPECT_FALSE(ranks.comm.attach(2, 3, &ranks.hosts[0]->host).ok());
  EXPECT_FALSE(ranks.comm.attach(2, 2, &ranks.hosts[0]->host).ok());
  std::int64_t shape[] = {4}, strides[] = {1};
  std::int32_t data[4] = {};
  const tenon_view ints{data, {1, 0}, 1, {0, 32, 1}, shape, strides, 0};
  EXPECT_FALSE(ranks.comm.all_reduce(0, &ints, &ints).ok());
}

}  // namespace
}  // namespace tenon
