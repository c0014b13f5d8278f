// Rope angles as a backend keeps them: a table for all positions of a context, of which only those
// that a step has reached are computed and cost memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "tenon/abi/backend.h"
#include "tenon/abi/contract.h"

namespace tenon::sdk {

// Positions below this are read or written in a step.
inline std::int32_t end_of(const tenon_attention_batch& batch) {
  std::int32_t end = 0;
  for (std::int32_t i = 0; i < batch.n_sequences; ++i)
    end = std::max(end, batch.sequences[i].position + batch.sequences[i].n_rows);
  return end;
}

// Of layers that have one rope_base. Calls the host's function, so it lives no longer than the
// instance.
template <class Real>
class RopeTable {
 public:
  RopeTable(const tenon_attend_prepare& prepare, std::int32_t layer)
      : rope_rows_(prepare.rope_rows),
        ctx_(prepare.ctx),
        layer_(layer),
        context_(prepare.context),
        dims_(prepare.geometry->rope_dims),
        // Not initialised: the system gives memory when it is touched.
        values_(new Real[static_cast<std::size_t>(context_) * static_cast<std::size_t>(dims_)]) {}

  // cos and sin, [rope_dims / 2, 2]; there once `position` was reached and filled.
  const Real* row(std::int32_t position) const {
    return values_.get() + std::int64_t{position} * dims_;
  }
  std::int32_t reached() const { return reached_; }
  // Whole pages, so that a step seldom reaches further than the one before: gives the new end. The
  // caller fills from reached() to there.
  std::int32_t reach(std::int32_t end) {
    const std::int64_t pages = (std::int64_t{end} + TENON_PAGE_TOKENS - 1) / TENON_PAGE_TOKENS;
    reached_ = std::max(reached_, static_cast<std::int32_t>(
                                      std::min<std::int64_t>(context_, pages * TENON_PAGE_TOKENS)));
    return reached_;
  }
  // Positions [first, end). Different ones may be filled at once.
  void fill(std::int32_t first, std::int32_t end) {
    if (dims_ == 0) return;
    constexpr std::int32_t kValues = 4096;
    double angles[kValues];
    // Rows longer than that would be a head of thousands of values.
    const std::int32_t most = std::max(1, kValues / dims_);
    for (std::int32_t at = first; at < end; at += most) {
      const std::int32_t rows = std::min(most, end - at);
      rope_rows_(ctx_, layer_, at, rows, angles);
      std::copy_n(angles, rows * dims_, values_.get() + std::int64_t{at} * dims_);
    }
  }
  void reach_and_fill(std::int32_t end) {
    const std::int32_t first = reached_;
    fill(first, reach(end));
  }

 private:
  tenon_rope_rows_fn rope_rows_;
  void* ctx_;
  std::int32_t layer_, context_, dims_, reached_ = 0;
  std::unique_ptr<Real[]> values_;  // [context, rope_dims / 2, 2]
};

}  // namespace tenon::sdk
