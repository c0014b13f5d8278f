// Tensor parallelism (Megatron-LM, arXiv 1909.08053): a rank holds some heads and a slice of the
// feed-forward's inner width. Projections into them are cut by outputs, projections out of them by
// inputs, so that ranks meet twice a layer, each time in one sum.
#include <algorithm>
#include <string>

#include "tenon/sdk/plugin.hpp"
#include "tenon/sdk/tensor.hpp"

namespace {

using tenon::sdk::Status;

// Does every rank get the same number of query heads, all of which read key-value heads that it
// holds alone, or all of which read the same one?
bool heads_divide(const tenon_split_units& units, std::int32_t ranks) {
  if (units.q_heads % ranks != 0) return false;
  return units.kv_heads % ranks == 0 ||
         (ranks % units.kv_heads == 0 &&
          (units.q_heads / units.kv_heads) % (units.q_heads / ranks) == 0);
}

class TensorParallel {
 public:
  TensorParallel(const tenon::sdk::Host& host, const tenon::sdk::Params&)
      : ops_(host.required<tenon_ops_v1>(TENON_OPS_ID)),
        ranks_(host.required<tenon_ranks_v1>(TENON_RANKS_ID)) {}

  Status place(const tenon_split_units* units, std::uint32_t ranks, tenon_rank_share* shares) {
    const auto n = static_cast<std::int32_t>(ranks);
    const std::int32_t granules = units->feed_forward / units->granule;
    if (!works(*units, n)) return refuse(*units, n);
    const std::int32_t q = units->q_heads / n, kv = std::max(1, units->kv_heads / n);
    for (std::int32_t i = 0; i < n; ++i) {
      const std::int32_t begin = granules * i / n, end = granules * (i + 1) / n;
      shares[i] = {i * q,
                   q,
                   i * q / (units->q_heads / units->kv_heads),
                   kv,
                   begin * units->granule,
                   (end - begin) * units->granule};
    }
    return {};
  }

  // out = residual + sum over ranks, normed first where the model says so. Every rank adds in the
  // same order, so that the stream stays the same on all of them.
  Status reduce(const tenon_reduce_site* site, tenon_tensor* partial, tenon_tensor* residual,
                tenon_tensor** out) {
    tenon::sdk::Tensors sum(ops_);
    TENON_SDK_TRY(ranks_.all_reduce(partial, sum.out()));
    tenon_tensor* in[] = {sum[0], residual};
    const tenon_op_add op{{sizeof op, TENON_OP_ADD, nullptr}, site->norm, 0, site->norm_eps};
    return ops_.call(&op.hdr, in, 2, out, 1);
  }

 private:
  static bool works(const tenon_split_units& units, std::int32_t ranks) {
    return heads_divide(units, ranks) && units.feed_forward % units.granule == 0 &&
           units.feed_forward / units.granule >= ranks;
  }

  static Status refuse(const tenon_split_units& units, std::int32_t ranks) {
    std::string known;
    for (std::int32_t n = 1; n <= units.q_heads; ++n)
      if (works(units, n)) known += (known.empty() ? "" : ", ") + std::to_string(n);
    return tenon::sdk::invalid_argument(
        std::to_string(ranks) + " ranks do not divide " + std::to_string(units.q_heads) +
        " query heads, " + std::to_string(units.kv_heads) +
        " key-value heads and a feed-forward of " + std::to_string(units.feed_forward) +
        "; rank counts that work: " + (known.empty() ? "none" : known));
  }

  tenon::sdk::OpsService ops_;
  tenon::sdk::RanksService ranks_;
};

}  // namespace

TENON_PLUGIN(TensorParallel, TENON_PARALLELISM_ID, ParallelismTable);
