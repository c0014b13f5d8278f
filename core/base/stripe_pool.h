// The engine's threads: an ordered stream of commands, each cut into stripes that threads claim.
//
// One producer submits commands; they run strictly one after the other, and within a command
// threads claim stripes: first of its own equal part, so that rows which lie alike in commands stay
// in the caches of one thread, then of the others'. A command is complete when all its stripes are
// done, never when all threads have arrived: a thread that the kernel has put aside delays only the
// stripe it holds.
// Waiting spins briefly, then sleeps on a futex. Neither submit() nor a stripe allocates or takes a
// lock.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "core/base/stream_times.h"

namespace tenon {

class StripePool {
 public:
  static constexpr std::size_t kArgBytes = 384;  // inline arguments of a command
  static constexpr std::uint32_t kMaxStripes = 65535;

  // Runs stripe `stripe` of `count`; `worker` is in [0, threads()).
  using Function = void (*)(const void* args, std::uint32_t stripe, std::uint32_t count,
                            std::uint32_t worker);

  // `threads` counts the producer, which works inside wait(); at least 1. There are fewer when the
  // system gives no more.
  // `stripes_per_thread` is a hint that commands read back; results never depend on it.
  // first_cpu: worker w keeps to the (first_cpu + w)-th processor that the process may use, counted
  // round; the producer's thread is its owner's and stays free.
  explicit StripePool(std::uint32_t threads, std::uint32_t stripes_per_thread = 4,
                      std::optional<std::uint32_t> first_cpu = {});
  ~StripePool();
  StripePool(const StripePool&) = delete;
  StripePool& operator=(const StripePool&) = delete;

  std::uint32_t threads() const { return static_cast<std::uint32_t>(workers_.size()) + 1; }
  std::uint32_t stripes_per_thread() const { return stripes_per_thread_; }

  // Appends a command; `args` (at most kArgBytes) is copied. Producer thread only. Helps when the
  // ring is full.
  void submit(Function function, const void* args, std::size_t arg_bytes, std::uint32_t stripes);

  // Works until every submitted command is complete. Producer thread only.
  void wait();

  // Producer thread only: every submitted command is complete.
  bool is_empty() const {
    return completed_.load(std::memory_order_acquire) == submitted_.load(std::memory_order_relaxed);
  }
  // Notes when the commands that are submitted from now on run; null: no longer. Producer thread
  // only, while the stream is empty.
  void set_times(StreamTimes* times) { times_ = times; }

  // Commands submitted since construction.
  std::uint64_t commands() const { return commands_; }

 private:
  // word = sequence (32) | count (16) | claimed (16). Claiming is a compare-and-swap that also
  // checks the sequence number, so a late thread can never claim a stripe of the command that has
  // since taken the slot over. Who has claimed takes one stripe: of a thread's part or another's.
  struct alignas(64) Slot {
    std::atomic<std::uint64_t> word{0};
    std::atomic<std::uint32_t> done{0};
    std::uint32_t label = 0;       // with `times`
    StreamTimes* times = nullptr;  // null: nobody asks how long it takes
    std::int64_t submitted = 0;
    Function function = nullptr;
    alignas(16) std::byte args[kArgBytes];
  };
  // The next stripe of a thread's part of a command.
  struct alignas(64) Part {
    std::atomic<std::uint32_t> next{0};
  };
  static constexpr std::uint32_t kSlots = 128;  // a power of two

  void work_forever(std::uint32_t worker);
  bool claim_and_run(std::uint32_t sequence, std::uint32_t worker);  // false: nothing left to claim

  Part& part_of(std::uint32_t sequence, std::uint32_t part) {
    return parts_[std::size_t{sequence % kSlots} * part_count_ + part];
  }
  std::uint32_t begin_of(std::uint32_t part, std::uint32_t count) const {
    return static_cast<std::uint32_t>(std::uint64_t{count} * part / part_count_);
  }
  std::uint32_t take_stripe(std::uint32_t sequence, std::uint32_t count, std::uint32_t worker);

  std::unique_ptr<Slot[]> ring_;
  std::unique_ptr<Part[]> parts_;  // [kSlots, part_count_]
  std::uint32_t part_count_;       // threads that were asked for
  alignas(64) std::atomic<std::uint32_t> submitted_{0};
  alignas(64) std::atomic<std::uint32_t> completed_{0};
  alignas(64) std::atomic<bool> stopping_{false};
  std::uint32_t stripes_per_thread_;
  std::uint64_t commands_ = 0;
  StreamTimes* times_ = nullptr;
  std::vector<std::thread> workers_;
};

}  // namespace tenon
