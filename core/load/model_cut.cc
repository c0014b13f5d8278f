// What one rank holds of a declared model.
#include <string>
#include <utility>

#include "core/load/model_loader.h"

namespace tenon {
namespace {

struct Range {
  std::int64_t begin, count;
};

// Of an axis, in values.
Range range_of(tenon_split split, const tenon_rank_share& share, std::int64_t head_dim,
               std::int64_t whole) {
  switch (split) {
    case TENON_SPLIT_Q_HEADS:
      return {share.q_begin * head_dim, share.q_count * head_dim};
    case TENON_SPLIT_KV_HEADS:
      return {share.kv_begin * head_dim, share.kv_count * head_dim};
    case TENON_SPLIT_FEED_FORWARD:
      return {share.feed_forward_begin, share.feed_forward_count};
    case TENON_SPLIT_NONE:
      break;
  }
  return {0, whole};
}

}  // namespace

Status check_shares(const tenon_split_units& units, std::span<const tenon_rank_share> shares,
                    const std::string& owner) {
  const auto bad = [&](std::size_t rank, const std::string& message) {
    return Error{.code = Code::kInternal,
                 .id = "TENON-R070",
                 .message = "the shares of the ranks do not make up the model: " + message,
                 .where = owner + ", rank " + std::to_string(rank),
                 .found = "query heads " + std::to_string(shares[rank].q_begin) + "+" +
                          std::to_string(shares[rank].q_count) + ", key-value heads " +
                          std::to_string(shares[rank].kv_begin) + "+" +
                          std::to_string(shares[rank].kv_count) + ", feed-forward " +
                          std::to_string(shares[rank].feed_forward_begin) + "+" +
                          std::to_string(shares[rank].feed_forward_count)};
  };
  const std::int32_t per_kv = units.q_heads / units.kv_heads;
  std::int32_t q = 0, feed_forward = 0;
  for (std::size_t rank = 0; rank < shares.size(); ++rank) {
    const tenon_rank_share& share = shares[rank];
    if (share.q_begin != q || share.q_count < 1) return bad(rank, "query heads follow one another");
    if (share.feed_forward_begin != feed_forward || share.feed_forward_count < 1 ||
        share.feed_forward_count % units.granule != 0)
      return bad(rank, "the feed-forward is cut in order, at multiples of " +
                           std::to_string(units.granule));
    if (share.kv_begin < 0 || share.kv_count < 1 ||
        share.kv_begin > units.kv_heads - share.kv_count || share.q_count % share.kv_count != 0)
      return bad(rank, "key-value heads that there are");
    for (std::int32_t h = 0; h < share.q_count; ++h)
      if ((share.q_begin + h) / per_kv != share.kv_begin + h / (share.q_count / share.kv_count))
        return bad(rank, "each query head beside the key-value head that it reads");
    q += share.q_count;
    feed_forward += share.feed_forward_count;
  }
  if (q != units.q_heads || feed_forward != units.feed_forward)
    return bad(shares.size() - 1, "nothing is left over");
  return {};
}

tenon_split_units ModelBuilder::split_units() const {
  return {shape_.attention.q_heads, shape_.attention.kv_heads, shape_.decoder.feed_forward,
          TENON_GROUP};
}

Status ModelBuilder::cut(const tenon_rank_share& share) {
  for (std::size_t i = 0; i < sources_.size(); ++i) TENON_TRY(cut_weight(i, share));
  for (LinearGroupShape& group : shape_.groups) TENON_TRY(cut_group(group));
  shape_.attention.q_heads = share.q_count;
  shape_.attention.kv_heads = share.kv_count;
  return {};
}

Status ModelBuilder::cut_weight(std::size_t weight, const tenon_rank_share& share) {
  Source& source = sources_[weight];
  Site& site = source.site;
  WeightShape& shape = shape_.weights[weight];
  const std::int64_t head_dim = shape_.attention.head_dim;
  const Range rows = range_of(site.split_n, share, head_dim, site.n),
              cols = range_of(site.split_k, share, head_dim, site.k);
  const bool quantised = source.codec->layout != TENON_LAYOUT_F32;
  const bool inside = rows.begin + rows.count <= site.n && cols.begin + cols.count <= site.k;
  if (!inside || (quantised && (cols.begin % TENON_GROUP != 0 || cols.count % TENON_GROUP != 0)))
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-R070",
                 .message = inside ? "a rank's columns would cut a quantisation group"
                                   : "a rank's part lies outside the weight",
                 .where = file_->path() + ", tensor \"" + shape.name + "\"",
                 .found = "rows " + std::to_string(rows.begin) + "+" + std::to_string(rows.count) +
                          ", columns " + std::to_string(cols.begin) + "+" +
                          std::to_string(cols.count),
                 .expected = "multiples of " + std::to_string(TENON_GROUP),
                 .fix = "use another number of ranks"};
  site.row_begin = rows.begin;
  site.col_begin = cols.begin;
  source.kept_k = cols.count;
  shape.bytes = static_cast<std::uint64_t>(static_cast<double>(shape.bytes) *
                                           static_cast<double>(rows.count * cols.count) /
                                           static_cast<double>(site.n * site.k));
  shape.n = rows.count;
  shape.k = cols.count;
  return {};
}

// Products of cut columns are partial. Where every rank holds all heads or units there is nothing
// to sum, but a residual must not be added once a rank: the group stays whole.
Status ModelBuilder::cut_group(LinearGroupShape& group) {
  for (const std::uint32_t weight : group.weights)
    group.partial |= shape_.weights[weight].k < sources_[weight].site.k;
  if (!group.partial) return {};
  if (group.epilogue != TENON_EPILOGUE_RESIDUAL || group.norm >= 0)
    return Error{.code = Code::kUnimplemented,
                 .id = "TENON-R052",
                 .message =
                     "linear group: its columns are cut, but it has a norm before or does "
                     "not end in a residual",
                 .where = shape_.weights[group.weights[0]].name};
  group.epilogue = TENON_EPILOGUE_NONE;
  group.reduce_norm = std::exchange(group.post_norm, -1);
  return {};
}

}  // namespace tenon
