// Ranks that are threads of one process. A collective is one command of each rank's own stream: it
// shows where the rank's values lie, waits for the others, adds all of them in the order of ranks,
// and waits again, so that nobody's values are overwritten while they are read.
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tenon/sdk/plugin.hpp"
#include "tenon/sdk/view.hpp"

namespace {

using tenon::sdk::Status;

// Everybody waits for everybody, again and again; a failure sends all of them away.
class Meeting {
 public:
  explicit Meeting(std::uint32_t ranks) : ranks_(ranks) {}

  // False when somebody has failed.
  bool wait() {
    std::unique_lock lock(mutex_);
    if (failed_) return false;
    const std::uint64_t round = round_;
    if (++arrived_ == ranks_) {
      arrived_ = 0;
      ++round_;
      changed_.notify_all();
      return true;
    }
    changed_.wait(lock, [&] { return failed_ || round_ != round; });
    return round_ != round;
  }
  void fail() {
    const std::lock_guard lock(mutex_);
    failed_ = true;
    changed_.notify_all();
  }
  bool failed() {
    const std::lock_guard lock(mutex_);
    return failed_;
  }
  void reset() {
    const std::lock_guard lock(mutex_);
    failed_ = false;
    arrived_ = 0;
  }

 private:
  const std::uint32_t ranks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint32_t arrived_ = 0;
  std::uint64_t round_ = 0;
  bool failed_ = false;
};

class Inproc {
 public:
  Inproc(const tenon::sdk::Host&, const tenon::sdk::Params&) {}

  Status attach(std::uint32_t rank, std::uint32_t size, const tenon_host* host) {
    if (size < 1 || rank >= size || (!members_.empty() && members_.size() != size))
      return tenon::sdk::invalid_argument("rank " + std::to_string(rank) + " of " +
                                          std::to_string(size) + " where there are " +
                                          std::to_string(members_.size()));
    if (members_.empty()) {
      members_.resize(size);
      sums_ = std::make_unique<Meeting>(size);
      agreements_ = std::make_unique<Meeting>(size);
    }
    members_[rank].threads = tenon::sdk::ThreadsService(
        tenon::sdk::Host(host).required<tenon_threads_v1>(TENON_THREADS_ID));
    return {};
  }

  Status all_reduce(std::uint32_t rank, const tenon_view* in, const tenon_view* out) {
    if (sums_->failed()) return gone();
    return in->dtype.bits == 64 ? submit<double>(rank, *in, *out) : submit<float>(rank, *in, *out);
  }

  Status agree(std::uint32_t rank, std::uint64_t value, std::int32_t* equal) {
    members_[rank].value = value;
    if (!agreements_->wait()) return gone();
    *equal = 1;
    for (const Member& member : members_) *equal &= member.value == value ? 1 : 0;
    return agreements_->wait() ? Status() : gone();
  }

  Status check(std::uint32_t) { return sums_->failed() ? gone() : Status(); }

  void fail() {
    sums_->fail();
    agreements_->fail();
  }
  void reset() {
    sums_->reset();
    agreements_->reset();
  }

 private:
  struct Member {
    tenon::sdk::ThreadsService threads;
    std::uint64_t value = 0;      // of the agreement that is being made
    const void* shown = nullptr;  // values of the sum that is being made
    std::uint64_t n_shown = 0;
  };
  struct Sum {
    Inproc* comm;
    std::uint32_t rank;
    std::uint64_t values;
    const void* in;
    void* out;
  };

  static Status gone() {
    return {TENON_UNAVAILABLE, "another rank has failed: the collective does not come about"};
  }

  template <class Real>
  Status submit(std::uint32_t rank, const tenon_view& in, const tenon_view& out) {
    tenon::sdk::Matrix<const Real> from;
    tenon::sdk::Matrix<Real> to;
    TENON_SDK_TRY(matrix_of(in, "in", from));
    TENON_SDK_TRY(matrix_of(out, "out", from.rows, from.columns, to));
    const Sum sum{this, rank, static_cast<std::uint64_t>(from.size()), from.data, to.data};
    members_[rank].threads.submit(&run<Real>, &sum, sizeof sum, 1);
    return {};
  }

  // The single stripe of a collective may block.
  template <class Real>
  static void run(const void* raw, std::uint32_t, std::uint32_t, std::uint32_t) {
    const Sum& sum = *static_cast<const Sum*>(raw);
    std::vector<Member>& members = sum.comm->members_;
    members[sum.rank].shown = sum.in;
    members[sum.rank].n_shown = sum.values;
    if (!sum.comm->sums_->wait()) return;
    for (const Member& member : members)
      if (member.n_shown != sum.values) return sum.comm->fail();  // ranks have lost step
    auto* out = static_cast<Real*>(sum.out);
    for (std::uint64_t i = 0; i < sum.values; ++i) {
      Real total = static_cast<const Real*>(members[0].shown)[i];
      for (std::size_t r = 1; r < members.size(); ++r)
        total += static_cast<const Real*>(members[r].shown)[i];
      out[i] = total;
    }
    sum.comm->sums_->wait();
  }

  std::vector<Member> members_;
  std::unique_ptr<Meeting> sums_, agreements_;
};

}  // namespace

TENON_PLUGIN(Inproc, TENON_COMM_ID, CommTable);
