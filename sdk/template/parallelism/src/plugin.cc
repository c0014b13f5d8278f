// Tensor parallelism: each rank holds as many heads as every other and a share of the feed-forward.
// Ranks meet where a projection comes back to the stream: the partial products are added over all
// ranks, and then to the residual.
#include <cstdint>
#include <string>

#include "tenon/sdk/plugin.hpp"
#include "tenon/sdk/tensor.hpp"

namespace {

using tenon::sdk::Status;

class Split {
 public:
  Split(const tenon::sdk::Host& host, const tenon::sdk::Params&)
      : ops_(host.required<tenon_ops_v1>(TENON_OPS_ID)),
        ranks_(host.required<tenon_ranks_v1>(TENON_RANKS_ID)) {}

  // A query head reads the key-value head h / group, which must lie in the same share. With more
  // ranks than key-value heads, ranks whose queries read the same one hold it each.
  Status place(const tenon_split_units* units, std::uint32_t n_ranks, tenon_rank_share* shares) {
    const auto n = static_cast<std::int32_t>(n_ranks);
    if (!divides(*units, n)) return refuse(*units, n);
    const std::int32_t q = units->q_heads / n, group = units->q_heads / units->kv_heads,
                       granules = units->feed_forward / units->granule;
    for (std::int32_t i = 0; i < n; ++i) {
      const std::int32_t kv_begin = i * q / group, kv_end = ((i + 1) * q - 1) / group + 1,
                         begin = granules * i / n * units->granule,
                         end = granules * (i + 1) / n * units->granule;
      shares[i] = {i * q, q, kv_begin, kv_end - kv_begin, begin, end - begin};
    }
    return {};
  }

  // The sum is added in the order of ranks, so that the stream has the same bits on all of them.
  Status reduce(const tenon_reduce_site* site, tenon_tensor* partial, tenon_tensor* residual,
                tenon_tensor** out) {
    tenon::sdk::Tensors sum(ops_);
    TENON_SDK_TRY(ranks_.all_reduce(partial, sum.out()));
    tenon_tensor* in[] = {sum[0], residual};
    const tenon_op_add op{{sizeof op, TENON_OP_ADD, nullptr}, site->norm, 0, site->norm_eps};
    return ops_.call(&op.hdr, in, 2, out, 1);
  }

 private:
  static bool divides(const tenon_split_units& units, std::int32_t n) {
    const std::int32_t group = units.q_heads / units.kv_heads, q = units.q_heads / n;
    return units.q_heads % n == 0 && (q % group == 0 || group % q == 0) &&
           units.feed_forward % units.granule == 0 && units.feed_forward / units.granule >= n;
  }

  static Status refuse(const tenon_split_units& units, std::int32_t n) {
    std::string works;
    for (std::int32_t i = 1; i <= units.q_heads; ++i)
      if (divides(units, i)) works += (works.empty() ? "" : ", ") + std::to_string(i);
    return tenon::sdk::invalid_argument(
        std::to_string(n) + " ranks do not divide " + std::to_string(units.q_heads) +
        " query heads, " + std::to_string(units.kv_heads) +
        " key-value heads and a feed-forward of " + std::to_string(units.feed_forward) +
        "; rank counts that work: " + works);
  }

  tenon::sdk::OpsService ops_;
  tenon::sdk::RanksService ranks_;
};

}  // namespace

TENON_PLUGIN(Split, TENON_PARALLELISM_ID, ParallelismTable);
