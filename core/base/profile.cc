#include "core/base/profile.h"

#include <algorithm>

namespace tenon {

thread_local const Profile* Profile::open_on_this_thread = nullptr;

Profile::Profile(bool trace) : trace_(trace) {
  for (const char* name :
       {"none", "between steps", "retire", "view and prefix lookup", "schedule and plan check",
        "pages", "rows and layers", "sampling", "advance and commit", "report and detokenise"})
    rows_.push_back({.owner = "core", .name = name});
  stack_.reserve(64);
}

void Profile::watch(StripePool* pool) {
  pool_ = pool;
  times_ = std::make_unique<StreamTimes>(pool->threads(), trace_);
  pool->set_times(times_.get());
}

Profile::Row Profile::row(const std::string& owner, const std::string& name, bool op) {
  const auto at = std::find_if(rows_.begin(), rows_.end(), [&](const ProfileRow& each) {
    return each.owner == owner && each.name == name;
  });
  if (at != rows_.end()) return static_cast<Row>(at - rows_.begin());
  if (rows_.size() == StreamTimes::kLabels) return kBetween;  // more than any table of plugins has
  rows_.push_back({.owner = owner, .name = name, .op = op});
  return static_cast<Row>(rows_.size() - 1);
}

// The time since the last event in which the stream had no work is the innermost span's.
void Profile::charge(std::int64_t now) {
  const std::int64_t busy = times_ ? times_->busy_until(now, pool_->is_empty()) : 0;
  if (counting_) {
    rows_[stack_.empty() ? Row{kBetween} : stack_.back().row].ns +=
        now - last_ - (busy - last_busy_);
    wall_ += now - last_;
  }
  last_ = now;
  last_busy_ = busy;
}

void Profile::begin_step() {
  open_on_this_thread = this;
  charge(clock_ns());
  step_begin_ = last_;
  counting_ = true;
  stack_.push_back({kBetween, last_, kBetween});
  label(kBetween);
}

void Profile::end_step(bool more) {
  charge(clock_ns());
  if (trace_) steps_.push_back({kBetween, step_begin_, last_});
  ++rows_[kBetween].calls;
  ++n_steps_;
  stack_.clear();
  label(kNone);
  counting_ = more;
  open_on_this_thread = nullptr;
}

void Profile::enter(Row row) {
  charge(clock_ns());
  ++rows_[row].calls;
  const Row outer = stack_.back().label;
  stack_.push_back({row, last_, rows_[outer].op ? outer : row});
  label(stack_.back().label);
}

void Profile::leave() {
  charge(clock_ns());
  if (trace_) spans_.push_back({stack_.back().row, stack_.back().begin, last_});
  stack_.pop_back();
  label(stack_.back().label);
}

void Profile::count_op(Row row, double bytes) { rows_[row].bytes += bytes; }

void Profile::count_allocation(std::uint64_t bytes) {
  if (!is_open()) return;
  ProfileRow& row = rows_[stack_.back().label];
  ++row.allocations;
  row.allocated_bytes += bytes;
}

std::vector<ProfileRow> Profile::rows() const {
  std::vector<ProfileRow> out = rows_;
  for (std::size_t i = 0; i < out.size() && times_; ++i)
    out[i].ns += times_->ns(static_cast<std::uint32_t>(i));
  std::erase_if(out, [](const ProfileRow& row) { return row.calls == 0 && row.ns == 0; });
  return out;
}

}  // namespace tenon
