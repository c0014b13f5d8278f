// Low-rank deltas of a linear group: y += scale * B (A x) for ranges of rows, each with factors of
// its own (rule 9 of tenon/abi/contract.h). t = A x is a command of its own between the preparation
// of the rows and the products; the products add scale * B t to each tile before the epilogue.
#pragma once

#include <deque>

#include "kernels.h"

namespace tenon::cpu {

// A factor as halves, its rows cut into tiles of `lanes` that lie beside each other: [tile, k,
// lanes]. A [rank, K] has lanes 8, so that rank 8 is read without padding; B [N, rank] has the
// lanes of a tile of products.
struct Factor {
  static constexpr std::int64_t kLanesA = 8;
  std::int64_t n = 0, k = 0, lanes = 0;
  AlignedBytes bytes;

  const std::uint16_t* tile(std::int64_t t) const {
    return reinterpret_cast<const std::uint16_t*>(bytes.get()) + t * k * lanes;
  }
};

// Packs a weight whose use is a factor. Rows beyond n are zero.
Factor pack_factor(const tenon_weight& source);

// What is added to one row of one weight's products; rank 0: nothing.
struct RowDelta {
  const Factor* b = nullptr;
  const float* t = nullptr;  // [rank]
  float scale = 0;
  std::int32_t rank = 0;
};

// Room for the deltas of one linear group. Commands run in order, so one serves all groups.
class DeltaScratch {
 public:
  // Grows when an op wants more than any before; the caller has waited for the stream then.
  bool fits(std::int64_t entries, std::int64_t values) const {
    return entries <= entries_ && values <= values_;
  }
  void grow(std::int64_t entries, std::int64_t values);
  RowDelta* rows() const { return reinterpret_cast<RowDelta*>(rows_.get()); }
  float* values() const { return reinterpret_cast<float*>(floats_.get()); }

 private:
  std::int64_t entries_ = 0, values_ = 0;
  AlignedBytes rows_, floats_;
};

// The deltas of a call, as its commands see them. Entries and values are laid out [weight, row].
struct LowRankCall {
  const Kernels* kernels = nullptr;
  const std::deque<Factor>* factors = nullptr;  // by weight id
  const tenon_row_deltas* deltas = nullptr;
  std::int32_t n_deltas = 0, n_weights = 0;
  std::int64_t rows = 0, k = 0;
  std::int64_t padded_rank = 0;  // values of t that an entry has room for
  const float* x = nullptr;      // [rows, k]: as the products see it, before it is quantised
  RowDelta* out = nullptr;
  float* values = nullptr;

  std::int64_t entries() const { return rows * n_weights; }
};

// `call` with the sizes that the op needs; room and x are the caller's to fill in.
LowRankCall low_rank_call(const tenon_op_linear_group& op, std::size_t n_weights, std::int64_t rows,
                          std::int64_t k);

// Submits the command that computes t for all rows.
void submit_low_rank(const sdk::ThreadsService& threads, const LowRankCall& call);

// y[r, 0..16) of tile `tile` of the weight `index`, for rows [row, row + rows): adds the deltas.
void add_low_rank(const LowRankCall& call, std::size_t index, std::int64_t tile, std::int64_t row,
                  int rows, float* y);

}  // namespace tenon::cpu
