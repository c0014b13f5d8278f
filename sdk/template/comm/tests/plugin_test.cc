// Three ranks, each on a thread of this program.
#include <thread>

#include "tenon/sdk/testing.hpp"

using tenon::sdk::testing::FakeHost;
using tenon::sdk::testing::inline_threads;
using tenon::sdk::testing::OpenedPlugin;
using tenon::sdk::testing::outcome;

namespace {

constexpr std::uint32_t kRanks = 3;

template <class F>
void on_all_ranks(const F& f) {
  std::vector<std::thread> threads;
  for (std::uint32_t rank = 0; rank < kRanks; ++rank) threads.emplace_back(f, rank);
  for (std::thread& thread : threads) thread.join();
}

tenon_view view_of(std::vector<float>& values, std::int64_t* shape, std::int64_t* stride) {
  *shape = static_cast<std::int64_t>(values.size());
  *stride = 1;
  return {values.data(), {1, 0}, 1, {2, 32, 1}, shape, stride, 0};
}

}  // namespace

int main(int, char** argv) {
  FakeHost host;
  host.offer(TENON_THREADS_ID, inline_threads());
  const OpenedPlugin<tenon_comm_v1> comm(argv[1], TENON_COMM_ID, host);
  for (std::uint32_t rank = 0; rank < kRanks; ++rank)
    TENON_CHECK_OK(outcome([&](tenon_call* call) {
      return comm->attach(comm.self(), rank, kRanks, host.host(), call);
    }));

  // Sums, one after the other, of values that only the order of ranks adds to these bits.
  on_all_ranks([&](std::uint32_t rank) {
    for (int round = 0; round < 50; ++round) {
      std::vector<float> in(1000, rank == 0 ? 1e8f : rank == 1 ? -1e8f : 1.0f + round), sum(1000);
      std::int64_t numbers[4];
      const tenon_view from = view_of(in, numbers, numbers + 1),
                       to = view_of(sum, numbers + 2, numbers + 3);
      TENON_CHECK_OK(outcome(
          [&](tenon_call* call) { return comm->all_reduce(comm.self(), rank, &from, &to, call); }));
      for (const float value : sum) TENON_CHECK(value == 1.0f + round);
    }
  });

  // A tensor of another shape is refused by its name.
  std::vector<float> in(4), shorter(3);
  std::int64_t numbers[4];
  const tenon_view from = view_of(in, numbers, numbers + 1),
                   to = view_of(shorter, numbers + 2, numbers + 3);
  TENON_CHECK(outcome([&](tenon_call* call) {
                return comm->all_reduce(comm.self(), 0, &from, &to, call);
              }).message() == "tensor \"out\" is [3]; expected [1, 4]");

  const auto agree = [&](std::uint32_t rank, std::uint64_t value) {
    std::int32_t equal = -1;
    TENON_CHECK_OK(outcome(
        [&](tenon_call* call) { return comm->agree(comm.self(), rank, value, &equal, call); }));
    return equal;
  };
  on_all_ranks([&](std::uint32_t rank) {
    TENON_CHECK(agree(rank, 7) == 1);
    TENON_CHECK(agree(rank, rank) == 0);
  });

  // One fails; the others come back with an error instead of waiting for ever.
  const auto refused = [&](std::uint32_t rank) {
    std::int32_t equal = 0;
    return outcome([&](tenon_call* call) {
             return comm->agree(comm.self(), rank, 1, &equal, call);
           }).code() == TENON_UNAVAILABLE;
  };
  on_all_ranks([&](std::uint32_t rank) {
    if (rank == 1)
      comm->fail(comm.self());
    else
      TENON_CHECK(refused(rank));
  });
  comm->reset(comm.self());
  on_all_ranks([&](std::uint32_t rank) { TENON_CHECK(agree(rank, 9) == 1); });
  return 0;
}
