// Which adapter changes which rows of a step, as ops want to know it.
//
// Ops run on all rows of the step, or on a selection of them (the rows that are sampled): each is a
// set of rows here. What ops are given stays where it is until the next step begins, because a
// backend reads it when it computes. Nothing allocates once a step has seen its shapes.
#pragma once

#include <cstdint>
#include <vector>

#include "core/adapter/adapter_set.h"
#include "core/base/error.h"

namespace tenon {

class StepDeltas {
 public:
  explicit StepDeltas(std::size_t n_groups) : n_groups_(n_groups) {}

  // Forgets the step before.
  void begin();
  // A further set, which ops run on from now on; it has no rows yet.
  void open_rows();
  // Its next rows. `slot` may be null: the model as it is.
  void add_rows(const AdapterSlot* slot, std::int32_t n_rows);
  // Ops run on the step's first set again.
  void use_first() { current_ = 0; }

  // Puts the deltas of the current rows into an op. TENON-R028: it runs on other rows, and some
  // request of the step has an adapter.
  Status attach(tenon_op_linear_group& op, std::int64_t rows);

 private:
  struct Segment {  // rows of one slot
    const AdapterSlot* slot;
    std::int32_t row, n_rows;
  };
  struct RowSet {
    std::vector<Segment> segments;
    std::int32_t rows = 0;
    bool changed = false;                                 // some segment has a slot
    std::vector<std::vector<tenon_row_deltas>> of_group;  // made when a group is called first
    std::vector<std::uint8_t> made;                       // [groups]
  };

  std::size_t n_groups_;
  std::vector<RowSet> sets_;
  std::size_t used_ = 0, current_ = 0;
};

}  // namespace tenon
