// Ranks that are threads of one process. A collective is three commands of each rank's own stream:
// copy what the rank has into its buffer, wait until all have, add the buffers in the order of
// ranks. Two buffers a rank, used in turn, make one barrier enough: who has passed the barrier of
// one collective has finished reading the buffers of the one before.
#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "tenon/sdk/plugin.hpp"

namespace {

using tenon::sdk::Status;

constexpr int kSpins = 4000;  // before a waiting thread sleeps

// Arrivals of all ranks at numbered points; a failure wakes everybody.
class Barrier {
 public:
  explicit Barrier(std::uint32_t ranks) : arrived_(ranks) {}

  void arrive(std::uint32_t rank, std::uint32_t point) {
    arrived_[rank].store(point, std::memory_order_release);
    news_.fetch_add(1, std::memory_order_release);
    news_.notify_all();
  }
  // False when somebody has failed.
  bool wait(std::uint32_t point) {
    for (int spins = 0;; ++spins) {
      const std::uint32_t news = news_.load(std::memory_order_acquire);
      if (failed_.load(std::memory_order_acquire)) return false;
      if (all_at(point)) return true;
      if (spins < kSpins)
        __builtin_ia32_pause();
      else
        news_.wait(news, std::memory_order_acquire);
    }
  }
  void fail() {
    failed_.store(true, std::memory_order_release);
    news_.fetch_add(1, std::memory_order_release);
    news_.notify_all();
  }
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  void reset() {
    for (auto& point : arrived_) point.store(0);
    failed_.store(false);
  }

 private:
  bool all_at(std::uint32_t point) const {
    for (const auto& at : arrived_)
      if (static_cast<std::int32_t>(at.load(std::memory_order_acquire) - point) < 0) return false;
    return true;
  }

  std::vector<std::atomic<std::uint32_t>> arrived_;
  std::atomic<std::uint32_t> news_{0};
  std::atomic<bool> failed_{false};
};

struct Member {
  tenon::sdk::ThreadsService threads;
  std::uint32_t collectives = 0, agreements = 0;  // called so far
  struct Buffer {
    std::unique_ptr<std::byte[]> memory;
    std::uint64_t room = 0;
    std::atomic<std::uint64_t> bytes{0};  // of the collective that it serves
  } buffers[2];
  std::uint64_t value[2] = {};  // of agreements, in turn
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
      for (std::uint32_t i = 0; i < size; ++i) members_.push_back(std::make_unique<Member>());
      sums_ = std::make_unique<Barrier>(size);
      agreements_ = std::make_unique<Barrier>(size);
    }
    members_[rank]->threads = tenon::sdk::ThreadsService(
        tenon::sdk::Host(host).required<tenon_threads_v1>(TENON_THREADS_ID));
    return {};
  }

  Status all_reduce(std::uint32_t rank, const tenon_view* in, const tenon_view* out) {
    if (sums_->failed()) return gone();
    const bool doubles = in->dtype.bits == 64;
    if (in->dtype.code != 2 || (!doubles && in->dtype.bits != 32))
      return tenon::sdk::unimplemented("a sum of other numbers than f32 and f64");
    std::uint64_t values = 1;
    for (std::int32_t i = 0; i < in->ndim; ++i) values *= static_cast<std::uint64_t>(in->shape[i]);
    Member& me = *members_[rank];
    const std::uint32_t point = ++me.collectives;
    Member::Buffer& buffer = me.buffers[point % 2];
    const std::uint64_t bytes = values * in->dtype.bits / 8;
    if (buffer.room < bytes) {
      me.threads.wait();  // what is queued may still copy into the old memory
      buffer.memory = std::make_unique_for_overwrite<std::byte[]>(bytes);
      buffer.room = bytes;
    }
    const Sum sum{this, rank, point, values, bytes, in->data, out->data, &buffer};
    const std::uint32_t stripes = me.threads.count() * me.threads.stripes_per_thread();
    me.threads.submit(&copy, &sum, sizeof sum, stripes);
    me.threads.submit(&meet, &sum, sizeof sum, 1);
    me.threads.submit(doubles ? &add<double> : &add<float>, &sum, sizeof sum, stripes);
    return {};
  }

  Status agree(std::uint32_t rank, std::uint64_t value, std::int32_t* equal) {
    Member& me = *members_[rank];
    const std::uint32_t point = ++me.agreements;
    me.value[point % 2] = value;
    agreements_->arrive(rank, point);
    if (!agreements_->wait(point)) return gone();
    *equal = 1;
    for (const auto& other : members_) *equal &= other->value[point % 2] == value;
    return {};
  }

  Status check(std::uint32_t) { return sums_->failed() ? gone() : Status(); }

  void fail() {
    sums_->fail();
    agreements_->fail();
  }

  void reset() {
    for (const auto& member : members_) member->collectives = member->agreements = 0;
    sums_->reset();
    agreements_->reset();
  }

 private:
  struct Sum {
    Inproc* comm;
    std::uint32_t rank, point;
    std::uint64_t values, bytes;
    const void* in;
    void* out;
    Member::Buffer* buffer;
  };

  static Status gone() {
    return {TENON_UNAVAILABLE, "another rank has failed: the collective does not come about"};
  }

  static void copy(const void* raw, std::uint32_t stripe, std::uint32_t count, std::uint32_t) {
    const auto& a = *static_cast<const Sum*>(raw);
    const std::uint64_t begin = a.bytes * stripe / count, end = a.bytes * (stripe + 1) / count;
    std::memcpy(a.buffer->memory.get() + begin, static_cast<const std::byte*>(a.in) + begin,
                end - begin);
  }

  static void meet(const void* raw, std::uint32_t, std::uint32_t, std::uint32_t) {
    const auto& a = *static_cast<const Sum*>(raw);
    a.buffer->bytes.store(a.bytes, std::memory_order_relaxed);
    a.comm->sums_->arrive(a.rank, a.point);
    if (!a.comm->sums_->wait(a.point)) return;
    for (const auto& member : a.comm->members_)
      if (member->buffers[a.point % 2].bytes.load(std::memory_order_relaxed) != a.bytes)
        a.comm->fail();  // ranks that add different things have lost step
  }

  template <class Real>
  static void add(const void* raw, std::uint32_t stripe, std::uint32_t count, std::uint32_t) {
    const auto& a = *static_cast<const Sum*>(raw);
    if (a.comm->sums_->failed()) return;
    const std::uint64_t begin = a.values * stripe / count, end = a.values * (stripe + 1) / count;
    auto* out = static_cast<Real*>(a.out);
    for (std::uint64_t i = begin; i < end; ++i) {
      Real total = 0;
      for (std::size_t r = 0; r < a.comm->members_.size(); ++r) {
        const Real value = reinterpret_cast<const Real*>(
            a.comm->members_[r]->buffers[a.point % 2].memory.get())[i];
        total = r == 0 ? value : total + value;
      }
      out[i] = total;
    }
  }

  std::vector<std::unique_ptr<Member>> members_;
  std::unique_ptr<Barrier> sums_, agreements_;
};

}  // namespace

TENON_PLUGIN(Inproc, TENON_COMM_ID, CommTable);
