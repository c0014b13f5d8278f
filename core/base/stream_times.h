// When the commands of a stream ran, by label. A command's time begins when it is submitted or,
// if one was there before it, when that one is complete, and ends with its last stripe: the times
// of all commands together are the time in which the stream had work.
//
// The producer calls set_label() and busy_until(); the pool calls the rest. Read it when the stream
// is empty.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/base/profile_clock.h"

namespace tenon {

// A piece of a track, in ns of clock_ns().
struct TimeSlice {
  std::uint32_t label;
  std::int64_t begin, end;
};

class StreamTimes {
 public:
  static constexpr std::uint32_t kLabels = 1024;
  // `threads` of the pool; `slices`: also keeps every command and every thread's part of it.
  StreamTimes(std::uint32_t threads, bool slices) : slices_(slices), of_thread_(threads) {}

  // Commands that are submitted from now on; 0: not counted.
  void set_label(std::uint32_t label) { label_ = label < kLabels ? label : 0; }
  std::uint32_t label() const { return label_; }
  // How long the stream has had work up to `now`. `empty`: it has none.
  std::int64_t busy_until(std::int64_t now, bool empty) {
    if (open_ && empty) {
      busy_ += last_end_ - open_since_;
      open_ = false;
    }
    return open_ ? busy_ + now - open_since_ : busy_;
  }
  // A command joins; `empty`: the stream had none. Gives what completed() wants to be told.
  std::int64_t submitted(bool empty) {
    const std::int64_t now = clock_ns();
    busy_until(now, empty);
    if (open_) return kBehindAnother;
    open_since_ = now;
    open_ = true;
    return now;
  }
  // By the thread that ran a command's last stripe, before the command counts as complete.
  void completed(std::uint32_t label, std::int64_t submitted) {
    const std::int64_t begin = submitted == kBehindAnother ? last_end_ : submitted;
    last_end_ = clock_ns();
    if (label == 0) return;
    ns_[label] += last_end_ - begin;
    if (slices_) commands_.push_back({label, begin, last_end_});
  }
  bool slices() const { return slices_; }
  std::vector<TimeSlice>& of_thread(std::uint32_t thread) { return of_thread_[thread]; }

  std::int64_t ns(std::uint32_t label) const { return ns_[label]; }
  const std::vector<TimeSlice>& commands() const { return commands_; }
  const std::vector<std::vector<TimeSlice>>& threads() const { return of_thread_; }

 private:
  static constexpr std::int64_t kBehindAnother = -1;
  const bool slices_;
  std::uint32_t label_ = 0;
  bool open_ = false;
  std::int64_t open_since_ = 0, busy_ = 0;
  std::int64_t last_end_ = 0;  // commands complete one after the other
  std::array<std::int64_t, kLabels> ns_{};
  std::vector<TimeSlice> commands_;
  std::vector<std::vector<TimeSlice>> of_thread_;
};

}  // namespace tenon
