// Where the time of an engine's steps goes: rows for calls, ops and the core's own work.
//
// At every moment either the stream has work, which belongs to the op that submitted it, or it has
// none, and the time belongs to the innermost span of the engine's thread. So the rows together are
// the wall time of the steps. Spans of other threads, and calls outside of steps, are not counted.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/stream_times.h"
#include "core/base/stripe_pool.h"

namespace tenon {

struct ProfileRow {
  std::string owner;  // a plugin's id, or "core"
  std::string name;   // "model.layer", "attend", "plan check"
  bool op = false;    // its time is the stream's
  std::uint64_t calls = 0;
  std::int64_t ns = 0;  // without the calls that it made
  double bytes = 0;     // read and written: weights, activations, keys and values
  std::uint64_t allocations = 0, allocated_bytes = 0;  // of device memory
};

class Profile {
 public:
  using Row = std::uint32_t;
  // The core's own rows, in this order.
  enum CoreRow : Row {
    kNone,
    kBetween,
    kRetire,
    kView,
    kPlanCheck,
    kPages,
    kRun,
    kSample,
    kAdvance,
    kReport
  };

  // `trace`: keep every span too.
  explicit Profile(bool trace);
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  // The engine's stream; before the first command of a step. The profile outlives the pool.
  void watch(StripePool* pool);
  // Adds the row, or finds it.
  Row row(const std::string& owner, const std::string& name, bool op = false);

  // A step, on the engine's thread. With `more` requests live the time until the next step counts.
  void begin_step();
  void end_step(bool more);
  bool is_open() const { return open_on_this_thread == this; }

  // Spans of the engine's thread inside a step.
  void enter(Row row);
  void leave();
  void count_op(Row row, double bytes);
  void count_allocation(std::uint64_t bytes);

  // When no step runs.
  std::vector<ProfileRow> rows() const;
  const ProfileRow& row(Row row) const { return rows_[row]; }  // of a slice's label
  std::int64_t wall_ns() const { return wall_; }
  std::size_t n_steps() const { return n_steps_; }
  const std::vector<TimeSlice>& spans() const { return spans_; }
  const std::vector<TimeSlice>& steps() const { return steps_; }
  const StreamTimes* stream() const { return times_ ? times_.get() : nullptr; }

 private:
  struct Open {
    Row row;
    std::int64_t begin;
    Row label;  // of commands: the op that this span is or is inside of, else the span
  };
  void charge(std::int64_t now);
  void label(Row row) {
    if (times_) times_->set_label(row);
  }

  static thread_local const Profile* open_on_this_thread;
  const bool trace_;
  StripePool* pool_ = nullptr;
  std::unique_ptr<StreamTimes> times_;
  std::vector<ProfileRow> rows_;
  std::vector<Open> stack_;
  bool counting_ = false;  // the time since last_ counts
  std::int64_t last_ = 0, last_busy_ = 0, wall_ = 0, step_begin_ = 0;
  std::size_t n_steps_ = 0;
  std::vector<TimeSlice> spans_, steps_;
};

// A span, where there is a profile and a step.
class ProfileSpan {
 public:
  ProfileSpan(Profile* profile, Profile::Row row)
      : profile_(profile != nullptr && profile->is_open() ? profile : nullptr) {
    if (profile_ != nullptr) profile_->enter(row);
  }
  ~ProfileSpan() {
    if (profile_ != nullptr) profile_->leave();
  }
  ProfileSpan(const ProfileSpan&) = delete;
  ProfileSpan& operator=(const ProfileSpan&) = delete;

 private:
  Profile* profile_;
};

}  // namespace tenon
