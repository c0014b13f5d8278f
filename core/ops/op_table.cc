#include "core/ops/op_table.h"

#include <string>

namespace tenon {
namespace {

std::string text_of(const TensorShape& shape) {
  std::string out = shape.dtype.code == 0 ? "i" : "f";
  out += std::to_string(shape.dtype.bits) + "[";
  for (int i = 0; i < shape.rank; ++i)
    out += (i ? ", " : "") + std::to_string(shape.shape[static_cast<std::size_t>(i)]);
  return out + "]";
}

TensorShape shape_of(const Tensor& tensor) { return {tensor.dtype, tensor.rank, tensor.shape}; }

bool same(const TensorShape& a, const TensorShape& b) {
  return a.dtype.code == b.dtype.code && a.dtype.bits == b.dtype.bits && a.rank == b.rank &&
         a.shape == b.shape;
}

Error bad_op(const char* op, std::string message, std::string found = {},
             std::string expected = {}) {
  return {.code = Code::kInvalidArgument,
          .id = "TENON-R020",
          .message = std::move(message),
          .where = std::string("op ") + op,
          .found = std::move(found),
          .expected = std::move(expected)};
}

Status expect_counts(const char* op, std::size_t in, std::size_t want_in, std::size_t out,
                     std::size_t want_out) {
  if (in == want_in && out == want_out) return {};
  return bad_op(op, "wrong number of tensors",
                std::to_string(in) + " in, " + std::to_string(out) + " out",
                std::to_string(want_in) + " in, " + std::to_string(want_out) + " out");
}

Status expect_shape(const char* op, const char* name, const Tensor& tensor,
                    const TensorShape& want) {
  if (same(shape_of(tensor), want)) return {};
  return bad_op(op, std::string("wrong shape of ") + name, text_of(shape_of(tensor)),
                text_of(want));
}

TensorShape rows_of(const ModelShape& model, std::int64_t rows, std::int64_t values) {
  return {model.activation, 2, {rows, values}};
}

Status shape_gather(const ModelShape& model, const tenon_hdr* op, std::span<Tensor* const> in,
                    std::span<TensorShape> out) {
  const auto& record = *reinterpret_cast<const tenon_op_gather*>(op);
  const bool from_weight = record.weight >= 0;
  TENON_TRY(expect_counts("gather", in.size(), from_weight ? 1 : 2, out.size(), 1));
  if (in[0]->rank != 1 || in[0]->dtype.code != kInt32.code || in[0]->dtype.bits != 32)
    return bad_op("gather", "ids are a vector of int32", text_of(shape_of(*in[0])));
  std::int64_t values = 0;
  if (from_weight) {
    if (static_cast<std::size_t>(record.weight) >= model.weights.size())
      return bad_op("gather", "no such weight", std::to_string(record.weight));
    values = model.weights[static_cast<std::size_t>(record.weight)].k;
  } else {
    values = in[1]->shape[1];
    TENON_TRY(expect_shape("gather", "base", *in[1], rows_of(model, in[1]->shape[0], values)));
  }
  out[0] = rows_of(model, in[0]->shape[0], values);
  return {};
}

Status shape_linear_group(const ModelShape& model, const tenon_hdr* op, std::span<Tensor* const> in,
                          std::span<TensorShape> out) {
  const auto& record = *reinterpret_cast<const tenon_op_linear_group*>(op);
  if (record.group >= model.groups.size())
    return bad_op("linear_group", "no such group", std::to_string(record.group));
  const LinearGroupShape& group = model.groups[record.group];
  const bool residual = group.epilogue == TENON_EPILOGUE_RESIDUAL;
  TENON_TRY(expect_counts("linear_group", in.size(), residual ? 2 : 1, out.size(),
                          group.gated() ? 1 : group.weights.size()));
  const std::int64_t rows = in[0]->shape[0];
  TENON_TRY(expect_shape("linear_group", "x", *in[0],
                         rows_of(model, rows, model.weights[group.weights[0]].k)));
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = rows_of(model, rows, model.weights[group.weights[i]].n);
  if (residual) TENON_TRY(expect_shape("linear_group", "residual", *in[1], out[0]));
  return {};
}

Status shape_attend(const ModelShape& model, const tenon_hdr* op, std::span<Tensor* const> in,
                    std::span<TensorShape> out) {
  const auto& record = *reinterpret_cast<const tenon_op_attend*>(op);
  const tenon_attention_geometry& geometry = model.attention;
  TENON_TRY(expect_counts("attend", in.size(), 3, out.size(), 1));
  if (record.batch == nullptr || record.read_set == nullptr ||
      record.read_set->n_sequences != record.batch->n_sequences)
    return bad_op("attend", "the read set does not cover the batch's sequences");
  if (record.layer < 0 || record.layer >= geometry.layers)
    return bad_op("attend", "no such layer", std::to_string(record.layer));
  const std::int64_t rows = record.batch->n_rows;
  const std::int64_t q = std::int64_t{geometry.q_heads} * geometry.head_dim,
                     kv = std::int64_t{geometry.kv_heads} * geometry.head_dim;
  TENON_TRY(expect_shape("attend", "q", *in[0], rows_of(model, rows, q)));
  TENON_TRY(expect_shape("attend", "k", *in[1], rows_of(model, rows, kv)));
  TENON_TRY(expect_shape("attend", "v", *in[2], rows_of(model, rows, kv)));
  out[0] = rows_of(model, rows, q);
  return {};
}

Status shape_add(const ModelShape& model, const tenon_hdr* op, std::span<Tensor* const> in,
                 std::span<TensorShape> out) {
  const auto& record = *reinterpret_cast<const tenon_op_add*>(op);
  TENON_TRY(expect_counts("add", in.size(), 2, out.size(), 1));
  const TensorShape want = rows_of(model, in[0]->shape[0], in[0]->shape[1]);
  TENON_TRY(expect_shape("add", "x", *in[0], want));
  TENON_TRY(expect_shape("add", "r", *in[1], want));
  if (record.norm >= 0) {
    const auto id = static_cast<std::size_t>(record.norm);
    if (id >= model.weights.size() || model.weights[id].layout != TENON_LAYOUT_F32 ||
        model.weights[id].n != 1 || model.weights[id].k != want.shape[1])
      return bad_op("add", "no norm of this width", std::to_string(record.norm));
  }
  out[0] = want;
  return {};
}

Status shape_sample(const ModelShape& model, const tenon_hdr* op, std::span<Tensor* const> in,
                    std::span<TensorShape> out) {
  const auto& record = *reinterpret_cast<const tenon_op_sample*>(op);
  TENON_TRY(expect_counts("sample", in.size(), 1, out.size(), 0));
  if (record.rows == nullptr || record.results == nullptr)
    return bad_op("sample", "rows and results are required");
  return expect_shape("sample", "logits", *in[0],
                      rows_of(model, in[0]->shape[0], model.decoder.vocabulary));
}

OpCost cost_gather(const ModelShape& model, const tenon_hdr* op, std::span<Tensor* const> in) {
  const auto& record = *reinterpret_cast<const tenon_op_gather*>(op);
  if (record.weight < 0) return {};
  const WeightShape& weight = model.weights[static_cast<std::size_t>(record.weight)];
  return {0, static_cast<double>(weight.bytes) / static_cast<double>(weight.n) *
                 static_cast<double>(in[0]->shape[0])};
}

OpCost cost_linear_group(const ModelShape& model, const tenon_hdr* op,
                         std::span<Tensor* const> in) {
  OpCost cost;
  for (const std::uint32_t id :
       model.groups[reinterpret_cast<const tenon_op_linear_group*>(op)->group].weights) {
    const WeightShape& weight = model.weights[id];
    cost.multiply_adds +=
        static_cast<double>(weight.n * weight.k) * static_cast<double>(in[0]->shape[0]);
    cost.weight_bytes += static_cast<double>(weight.bytes);
  }
  return cost;
}

OpCost cost_attend(const ModelShape& model, const tenon_hdr* op, std::span<Tensor* const>) {
  const auto& record = *reinterpret_cast<const tenon_op_attend*>(op);
  double pairs = 0;
  for (std::int32_t i = 0; i < record.batch->n_sequences; ++i)
    pairs += 64.0 * record.read_set->sequences[i].n_pages * record.batch->sequences[i].n_rows;
  return {2.0 * pairs * model.attention.q_heads * model.attention.head_dim, 0};
}

OpCost no_cost(const ModelShape&, const tenon_hdr*, std::span<Tensor* const>) { return {}; }

constexpr OpRow kOps[] = {
    {TENON_OP_GATHER, "gather", sizeof(tenon_op_gather), &shape_gather, &cost_gather},
    {TENON_OP_LINEAR_GROUP, "linear_group", sizeof(tenon_op_linear_group), &shape_linear_group,
     &cost_linear_group},
    {TENON_OP_ATTEND, "attend", sizeof(tenon_op_attend), &shape_attend, &cost_attend},
    {TENON_OP_ADD, "add", sizeof(tenon_op_add), &shape_add, &no_cost},
    {TENON_OP_SAMPLE, "sample", sizeof(tenon_op_sample), &shape_sample, &no_cost},
};

}  // namespace

const OpRow* find_op(std::uint32_t id) {
  for (const OpRow& row : kOps)
    if (static_cast<std::uint32_t>(row.id) == id) return &row;
  return nullptr;
}

}  // namespace tenon
