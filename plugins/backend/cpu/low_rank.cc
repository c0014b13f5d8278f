#include "low_rank.h"

#include <immintrin.h>

#include <algorithm>
#include <vector>

namespace tenon::cpu {
namespace {

constexpr int kChains = 4;  // sums that a kernel keeps in flight: each is one chain of additions

std::int64_t padded(std::int64_t rank) {
  return (rank + Factor::kLanesA - 1) / Factor::kLanesA * Factor::kLanesA;
}

// Collects chains of rows and weights, whatever adapter they belong to, and computes four at once.
class Chains {
 public:
  explicit Chains(const LowRankCall& call) : call_(call) {}
  ~Chains() { flush(); }
  Chains(const Chains&) = delete;
  Chains& operator=(const Chains&) = delete;

  void add(const std::uint16_t* a, const float* x, float* out) {
    a_[count_] = a, x_[count_] = x, out_[count_] = out;
    if (++count_ == kChains) flush();
  }

 private:
  void flush() {
    if (count_ > 0) call_.kernels->low_rank_in(a_, x_, call_.k, count_, out_);
    count_ = 0;
  }

  const LowRankCall& call_;
  const std::uint16_t* a_[kChains];
  const float* x_[kChains];
  float* out_[kChains];
  int count_ = 0;
};

void compute_rows(const void* raw, std::uint32_t stripe, std::uint32_t stripes, std::uint32_t) {
  const auto& c = *static_cast<const LowRankCall*>(raw);
  const tenon_row_deltas *at = c.deltas, *end = c.deltas + c.n_deltas;
  Chains chains(c);
  for (std::int64_t r = c.rows * stripe / stripes; r < c.rows * (stripe + 1) / stripes; ++r) {
    while (at != end && at->row + at->n_rows <= r) ++at;
    const bool changed = at != end && at->row <= r;
    for (std::int32_t w = 0; w < c.n_weights; ++w) {
      const std::int64_t entry = w * c.rows + r;
      RowDelta& row = c.out[entry] = {};
      if (!changed || at->of_weight[w].rank == 0) continue;
      const tenon_low_rank& delta = at->of_weight[w];
      float* t = c.values + entry * c.padded_rank;
      row = {&(*c.factors)[delta.b], t, static_cast<float>(delta.scale), delta.rank};
      const Factor& a = (*c.factors)[delta.a];
      for (std::int64_t i = 0; i < delta.rank; i += Factor::kLanesA)
        chains.add(a.tile(i / Factor::kLanesA), c.x + r * c.k, t + i);
    }
  }
}

}  // namespace

Factor pack_factor(const tenon_weight& source) {
  Factor out{
      source.n, source.k, source.use == TENON_WEIGHT_USE_LOW_RANK_A ? Factor::kLanesA : kTile, {}};
  const std::int64_t tiles = (out.n + out.lanes - 1) / out.lanes;
  out.bytes = aligned_bytes(static_cast<std::size_t>(tiles * out.k * out.lanes * 2));
  auto* halves = reinterpret_cast<std::uint16_t*>(out.bytes.get());
  std::fill_n(halves, tiles * out.k * out.lanes, std::uint16_t{0});
  std::vector<float> row(static_cast<std::size_t>(out.k));
  for (std::int64_t n = 0; n < out.n; ++n) {
    source.read_rows(source.ctx, n, 1, row.data(), nullptr, nullptr);
    for (std::int64_t i = 0; i < out.k; ++i)
      halves[(n / out.lanes * out.k + i) * out.lanes + n % out.lanes] =
          _cvtss_sh(row[static_cast<std::size_t>(i)], _MM_FROUND_TO_NEAREST_INT);
  }
  return out;
}

void DeltaScratch::grow(std::int64_t entries, std::int64_t values) {
  entries = std::max(entries, entries_);
  values = std::max(values, values_);
  rows_ = aligned_bytes(static_cast<std::size_t>(entries) * sizeof(RowDelta));
  floats_ = aligned_bytes(static_cast<std::size_t>(values) * sizeof(float));
  entries_ = entries;
  values_ = values;
}

LowRankCall low_rank_call(const tenon_op_linear_group& op, std::size_t n_weights, std::int64_t rows,
                          std::int64_t k) {
  LowRankCall call;
  call.deltas = op.deltas;
  call.n_deltas = op.n_deltas;
  call.n_weights = static_cast<std::int32_t>(n_weights);
  call.rows = rows;
  call.k = k;
  for (std::int32_t i = 0; i < op.n_deltas; ++i)
    for (std::size_t w = 0; w < n_weights; ++w)
      call.padded_rank = std::max(call.padded_rank, padded(op.deltas[i].of_weight[w].rank));
  return call;
}

void submit_low_rank(const sdk::ThreadsService& threads, const LowRankCall& call) {
  // Fewer stripes than rows where the rows alone would not fill a kernel's chains.
  const std::int64_t chains = call.entries() * call.padded_rank / Factor::kLanesA;
  const std::int64_t pieces = std::min(call.rows, chains / kChains);
  threads.submit(&compute_rows, &call, sizeof call,
                 static_cast<std::uint32_t>(std::clamp<std::int64_t>(
                     pieces, 1, std::int64_t{threads.count()} * threads.stripes_per_thread())));
}

void add_low_rank(const LowRankCall& call, std::size_t index, std::int64_t tile, std::int64_t row,
                  int rows, float* y) {
  const RowDelta* delta = call.out + static_cast<std::int64_t>(index) * call.rows + row;
  for (int r = 0; r < rows; ++r, ++delta)
    if (delta->rank > 0)
      call.kernels->low_rank_out(delta->b->tile(tile), delta->t, delta->rank, delta->scale,
                                 y + r * kTile);
}

}  // namespace tenon::cpu
