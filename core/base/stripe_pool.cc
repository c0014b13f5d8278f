#include "core/base/stripe_pool.h"

#include <immintrin.h>
#include <sched.h>

#include <algorithm>
#include <cstring>
#include <system_error>

namespace tenon {
namespace {

constexpr int kSpins = 4000;  // about 40 to 100 us of pauses: longer than any gap inside a step

// Returns once `value` no longer holds `old`.
void wait_while(const std::atomic<std::uint32_t>& value, std::uint32_t old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    _mm_pause();
  }
  value.wait(old, std::memory_order_acquire);
}

// A thread's stripes of one command, one after the other, are one slice.
void note_slice(std::vector<TimeSlice>& slices, const TimeSlice& slice, bool continues) {
  if (continues)
    slices.back().end = slice.end;
  else
    slices.push_back(slice);
}

// The calling thread keeps to one of the processors that it may use. Where that is refused it stays
// free, which costs steadiness alone.
void keep_to_cpu(std::uint32_t index) {
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  index %= static_cast<std::uint32_t>(std::max(1, CPU_COUNT(&allowed)));
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || index-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ::sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

}  // namespace

StripePool::StripePool(std::uint32_t threads, std::uint32_t stripes_per_thread,
                       std::optional<std::uint32_t> first_cpu)
    : ring_(new Slot[kSlots]),
      parts_(new Part[std::size_t{kSlots} * std::max(1u, threads)]),
      part_count_(std::max(1u, threads)),
      stripes_per_thread_(std::max(1u, stripes_per_thread)) {
  workers_.reserve(std::max(1u, threads) - 1);
  try {
    for (std::uint32_t worker = 1; worker < std::max(1u, threads); ++worker)
      workers_.emplace_back([this, worker, first_cpu] {
        if (first_cpu) keep_to_cpu(*first_cpu + worker);
        work_forever(worker);
      });
  } catch (const std::system_error&) {
    // The system gives no more threads: those that are there do the work.
  }
}

StripePool::~StripePool() {
  wait();
  stopping_.store(true, std::memory_order_release);
  // An empty command wakes whoever sleeps for work; it may find that stopping_ is set.
  submit([](const void*, std::uint32_t, std::uint32_t, std::uint32_t) {}, nullptr, 0, 1);
  wait();
  for (std::thread& worker : workers_) worker.join();
}

void StripePool::submit(Function function, const void* args, std::size_t arg_bytes,
                        std::uint32_t stripes) {
  const std::uint32_t sequence = submitted_.load(std::memory_order_relaxed);
  while (sequence - completed_.load(std::memory_order_acquire) == kSlots) {
    const std::uint32_t oldest = completed_.load(std::memory_order_acquire);
    if (sequence - oldest == kSlots && !claim_and_run(oldest, 0)) wait_while(completed_, oldest);
  }
  Slot& slot = ring_[sequence % kSlots];
  slot.function = function;
  if (arg_bytes != 0) std::memcpy(slot.args, args, arg_bytes);
  slot.done.store(0, std::memory_order_relaxed);
  slot.times = times_;
  if (times_ != nullptr) {
    slot.label = times_->label();
    slot.submitted = times_->submitted(is_empty());
  }
  const std::uint32_t count = std::clamp(stripes, 1u, kMaxStripes);
  for (std::uint32_t part = 0; part < part_count_; ++part)
    part_of(sequence, part).next.store(begin_of(part, count), std::memory_order_relaxed);
  slot.word.store(std::uint64_t{sequence} << 32 | std::uint64_t{count} << 16,
                  std::memory_order_release);
  submitted_.store(sequence + 1, std::memory_order_release);
  submitted_.notify_all();
  ++commands_;
}

void StripePool::wait() {
  const std::uint32_t end = submitted_.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint32_t current = completed_.load(std::memory_order_acquire);
    if (current == end) return;
    if (!claim_and_run(current, 0)) wait_while(completed_, current);
  }
}

void StripePool::work_forever(std::uint32_t worker) {
  for (;;) {
    // The command after the completed ones is the only one that may run.
    const std::uint32_t current = completed_.load(std::memory_order_acquire);
    if (current == submitted_.load(std::memory_order_acquire)) {
      if (stopping_.load(std::memory_order_acquire)) return;
      wait_while(submitted_, current);
    } else if (!claim_and_run(current, worker)) {
      wait_while(completed_, current);
    }
  }
}

// There is one: as many threads have claimed as there are stripes at most, and a part that was
// empty stays so.
std::uint32_t StripePool::take_stripe(std::uint32_t sequence, std::uint32_t count,
                                      std::uint32_t worker) {
  for (std::uint32_t part = worker;; part = (part + 1) % part_count_) {
    const std::uint32_t end = begin_of(part + 1, count);
    std::atomic<std::uint32_t>& next = part_of(sequence, part).next;
    if (next.load(std::memory_order_relaxed) >= end) continue;
    const std::uint32_t stripe = next.fetch_add(1, std::memory_order_relaxed);
    if (stripe < end) return stripe;
  }
}

bool StripePool::claim_and_run(std::uint32_t sequence, std::uint32_t worker) {
  Slot& slot = ring_[sequence % kSlots];
  bool ran = false;
  std::uint64_t word = slot.word.load(std::memory_order_acquire);
  for (;;) {
    const auto count = static_cast<std::uint32_t>(word >> 16 & 0xffff);
    const auto claimed = static_cast<std::uint32_t>(word & 0xffff);
    if (static_cast<std::uint32_t>(word >> 32) != sequence || claimed >= count) return ran;
    if (!slot.word.compare_exchange_weak(word, word + 1, std::memory_order_acq_rel)) continue;
    const std::uint32_t stripe = take_stripe(sequence, count, worker);
    const bool traced = slot.times != nullptr && slot.times->slices() && slot.label != 0;
    const std::int64_t begin = traced ? clock_ns() : 0;
    slot.function(slot.args, stripe, count, worker);
    // Before the stripe counts as done: whoever sees the stream empty may read the slices.
    if (traced) note_slice(slot.times->of_thread(worker), {slot.label, begin, clock_ns()}, ran);
    ran = true;
    if (slot.done.fetch_add(1, std::memory_order_acq_rel) + 1 == count) {
      if (slot.times != nullptr) slot.times->completed(slot.label, slot.submitted);
      completed_.store(sequence + 1, std::memory_order_release);
      completed_.notify_all();
      return ran;
    }
    word = slot.word.load(std::memory_order_acquire);
  }
}

}  // namespace tenon
