#include "core/runtime/step_deltas.h"

#include <algorithm>

namespace tenon {

void StepDeltas::begin() { used_ = current_ = 0; }

void StepDeltas::open_rows() {
  current_ = used_++;
  if (sets_.size() < used_) {
    sets_.emplace_back();
    sets_.back().of_group.resize(n_groups_);
    sets_.back().made.resize(n_groups_);
  }
  RowSet& set = sets_[current_];
  set.segments.clear();
  set.rows = 0;
  set.changed = false;
  std::fill(set.made.begin(), set.made.end(), std::uint8_t{0});
}

void StepDeltas::add_rows(const AdapterSlot* slot, std::int32_t n_rows) {
  RowSet& set = sets_[current_];
  if (!set.segments.empty() && set.segments.back().slot == slot)
    set.segments.back().n_rows += n_rows;
  else
    set.segments.push_back({slot, set.rows, n_rows});
  set.rows += n_rows;
  set.changed |= slot != nullptr;
}

Status StepDeltas::attach(tenon_op_linear_group& op, std::int64_t rows) {
  op.n_deltas = 0;
  op.deltas = nullptr;
  if (used_ == 0 || !sets_[current_].changed || op.group >= n_groups_) return {};
  RowSet& set = sets_[current_];
  if (rows != set.rows)
    return Error{.code = Code::kUnimplemented,
                 .id = "TENON-R028",
                 .message = "a linear group runs on rows of which it is not known whose they are",
                 .where = "group " + std::to_string(op.group),
                 .found = std::to_string(rows) + " rows",
                 .expected = std::to_string(set.rows) + " rows",
                 .fix = "a plugin of the manifest does not work with adapters"};
  std::vector<tenon_row_deltas>& deltas = set.of_group[op.group];
  if (set.made[op.group] == 0) {
    set.made[op.group] = 1;
    deltas.clear();
    for (const Segment& segment : set.segments)
      if (segment.slot != nullptr && !segment.slot->of_group[op.group].empty())
        deltas.push_back({segment.row, segment.n_rows, segment.slot->of_group[op.group].data()});
  }
  op.n_deltas = static_cast<std::int32_t>(deltas.size());
  op.deltas = deltas.data();
  return {};
}

}  // namespace tenon
