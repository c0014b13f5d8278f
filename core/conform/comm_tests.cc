// Communication: sums in the order of ranks, and nobody who waits for ever.
#include <atomic>
#include <cstring>
#include <thread>

#include "core/conform/rig.h"

namespace tenon::conform {
namespace {

// One instance with a stream for each rank.
struct Ranks {
  std::unique_ptr<Rig> rig;
  std::vector<std::unique_ptr<Rig>> hosts;  // for their threads alone
  iface::Comm comm;

  static Result<Ranks> open(const Subject& s, std::uint32_t n) {
    Ranks out;
    TENON_ASSIGN(out.rig, Rig::open(s));
    TENON_ASSIGN(out.comm, (out.rig->as<iface::Comm, tenon_comm_v1>(TENON_COMM_ID)));
    for (std::uint32_t rank = 0; rank < n; ++rank) {
      TENON_ASSIGN(auto host, Rig::open(s));
      out.hosts.push_back(std::move(host));
      TENON_TRY(out.comm.attach(rank, n, &out.hosts.back()->host()));
    }
    return out;
  }
  std::uint32_t size() const { return static_cast<std::uint32_t>(hosts.size()); }

  // f(rank) on a thread for each; the first failure.
  template <class F>
  Finding each(F&& f) const {
    std::vector<Finding> found(size());
    std::vector<std::thread> threads;
    for (std::uint32_t rank = 0; rank < size(); ++rank)
      threads.emplace_back([&, rank] { found[rank] = f(rank); });
    for (std::thread& thread : threads) thread.join();
    for (const Finding& one : found)
      if (one.outcome != Outcome::kOk) return one;
    return passed();
  }
  template <class Real>
  Status sum(std::uint32_t rank, const std::vector<Real>& in, std::vector<Real>& out) const {
    std::int64_t shape[] = {static_cast<std::int64_t>(in.size())}, strides[] = {1};
    const tenon_dl_type type{2, sizeof(Real) * 8, 1};
    const tenon_view from{const_cast<Real*>(in.data()), {1, 0}, 1, type, shape, strides, 0},
        to{out.data(), {1, 0}, 1, type, shape, strides, 0};
    return comm.all_reduce(rank, &from, &to);
  }
  void wait(std::uint32_t rank) const { hosts[rank]->finish_commands(); }
};

// Numbers whose sum depends on the order in which they are added.
template <class Real>
Real value_of(std::uint32_t rank, std::size_t round, std::size_t i) {
  constexpr Real kScales[] = {Real(1e7), Real(1), Real(1e-3), Real(-1e7)};
  return kScales[(rank + i) % 4] * static_cast<Real>(1 + (i * 7 + rank * 3) % 11) +
         static_cast<Real>(round);
}

template <class Real>
Finding sums(const Subject& s) {
  for (const std::uint32_t n : {1u, 2u, 3u, 5u}) {
    TENON_ASSIGN(const Ranks ranks, Ranks::open(s, n));
    const std::size_t sizes[] = {1, 1000, 3, 5000, 64, 64, 20000};
    Finding found = ranks.each([&](std::uint32_t rank) -> Finding {
      std::vector<std::vector<Real>> in, out;
      for (std::size_t round = 0; round < std::size(sizes); ++round) {
        in.emplace_back(sizes[round]);
        out.emplace_back(sizes[round], Real(-1));
        for (std::size_t i = 0; i < in.back().size(); ++i)
          in.back()[i] = value_of<Real>(rank, round, i);
      }
      // One after the other without waiting: they are commands of a stream.
      for (std::size_t round = 0; round < std::size(sizes); ++round)
        TENON_TRY(ranks.sum(rank, in[round], out[round]));
      ranks.wait(rank);
      for (std::size_t round = 0; round < std::size(sizes); ++round)
        for (std::size_t i = 0; i < sizes[round]; ++i) {
          Real want = value_of<Real>(0, round, i);
          for (std::uint32_t other = 1; other < n; ++other) want += value_of<Real>(other, round, i);
          if (std::memcmp(&out[round][i], &want, sizeof want) != 0)
            return failed("rank " + std::to_string(rank) + " of " + std::to_string(n) +
                          " gets a sum that is not added in the order of ranks");
        }
      return passed();
    });
    if (found.outcome != Outcome::kOk) return found;
  }
  return passed();
}

Finding agrees(const Subject& s) {
  TENON_ASSIGN(const Ranks ranks, Ranks::open(s, 3));
  return ranks.each([&](std::uint32_t rank) -> Finding {
    for (std::uint64_t round = 0; round < 200; ++round) {
      const bool differ = round % 3 == 0;
      std::int32_t equal = 7;
      TENON_TRY(ranks.comm.agree(rank, differ && rank == 1 ? round + 1000 : round, &equal));
      if (equal != (differ ? 0 : 1))
        return failed("round " + std::to_string(round) + ": agree() says " + std::to_string(equal));
    }
    return passed();
  });
}

// A rank that cannot go on wakes those that wait for it.
Finding fails(const Subject& s) {
  TENON_ASSIGN(const Ranks ranks, Ranks::open(s, 3));
  std::atomic<int> woken{0};
  Finding found = ranks.each([&](std::uint32_t rank) -> Finding {
    if (rank == 1) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      ranks.comm.fail();
      return passed();
    }
    const std::vector<float> in(100, 1);
    std::vector<float> out(100);
    Status status = ranks.sum(rank, in, out);
    ranks.wait(rank);
    if (status.ok()) status = ranks.comm.check(rank);
    if (status.ok()) return failed("a sum that one rank never joined is reported as good");
    ++woken;
    return passed();
  });
  if (found.outcome != Outcome::kOk) return found;
  return woken == 2 ? passed() : failed("not every rank learns of the failure");
}

Finding goes_on(const Subject& s) {
  TENON_ASSIGN(const Ranks ranks, Ranks::open(s, 2));
  for (int round = 0; round < 5; ++round) {
    ranks.comm.fail();
    for (std::uint32_t rank = 0; rank < 2; ++rank) ranks.wait(rank);
    ranks.comm.reset();
    Finding found = ranks.each([&](std::uint32_t rank) -> Finding {
      const std::vector<float> in(50, static_cast<float>(rank + 1));
      std::vector<float> out(50);
      TENON_TRY(ranks.sum(rank, in, out));
      ranks.wait(rank);
      TENON_TRY(ranks.comm.check(rank));
      return out[49] == 3 ? passed() : failed("after reset() a sum is wrong");
    });
    if (found.outcome != Outcome::kOk) return found;
  }
  return passed();
}

constexpr Test kTests[] = {
    {"comm.sums", "Floats are added in the order of ranks.", "comm", sums<float>},
    {"comm.sums-double", "Doubles too.", "comm", sums<double>},
    {"comm.agree", "agree() tells whether all values are the same.", "comm", agrees},
    {"comm.fails", "A rank that fails wakes the others.", "comm", fails},
    {"comm.reset", "After reset() it goes on.", "comm", goes_on},
};

}  // namespace

std::span<const Test> comm_tests() { return kTests; }

}  // namespace tenon::conform
