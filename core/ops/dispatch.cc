#include "core/ops/dispatch.h"

#include <string>

namespace tenon {
namespace {

// "blk.3.attn_q.weight" -> "attn_q": what a weight is, in whatever layer.
std::string role_of(const std::string& weight) {
  std::string out = weight.starts_with("blk.") ? weight.substr(weight.find('.', 4) + 1) : weight;
  if (out.ends_with(".weight")) out.resize(out.size() - 7);
  return out;
}

double bytes_of(const Tensor& tensor) {
  double bytes = tensor.dtype.bits / 8.0;
  for (int i = 0; i < tensor.rank; ++i)
    bytes *= static_cast<double>(tensor.shape[static_cast<std::size_t>(i)]);
  return bytes;
}

}  // namespace

void OpDispatch::measure(Profile* profile, const std::string& backend, double kv_value_bytes) {
  profile_ = profile;
  kv_value_bytes_ = kv_value_bytes;
  for (std::uint32_t id = 0; id <= TENON_OP_ADD; ++id) {
    const OpRow* row = find_op(id);
    op_rows_.push_back(row != nullptr ? profile->row(backend, row->name, true) : Profile::kNone);
  }
  for (const LinearGroupShape& group : model_->groups) {
    std::string name = "linear";
    for (const std::uint32_t weight : group.weights)
      name += (weight == group.weights[0] ? " " : "+") + role_of(model_->weights[weight].name);
    group_rows_.push_back(profile->row(backend, name, true));
  }
}

// What an op must read and write once: weights, activations, and of the cache the pages that its
// rows read and the entries that they add.
double OpDispatch::bytes_of(const OpRow& row, const tenon_hdr* op, std::span<Tensor* const> in,
                            std::span<Tensor* const> out) const {
  double bytes = row.cost(*model_, op, in).weight_bytes;
  for (const Tensor* tensor : in) bytes += tenon::bytes_of(*tensor);
  for (const Tensor* tensor : out) bytes += tenon::bytes_of(*tensor);
  if (op->type != TENON_OP_ATTEND) return bytes;
  const auto& attend = *reinterpret_cast<const tenon_op_attend*>(op);
  double entries = 0;
  for (std::int32_t i = 0; i < attend.batch->n_sequences; ++i)
    entries += 64.0 * attend.read_set->sequences[i].n_pages + attend.batch->sequences[i].n_rows;
  return bytes +
         2 * entries * model_->attention.kv_heads * model_->attention.head_dim * kv_value_bytes_;
}

Status OpDispatch::call(const tenon_hdr* op, std::span<Tensor* const> in, std::span<Tensor*> out) {
  const OpRow* row = find_op(op->type);
  if (row == nullptr || op->size < row->record_bytes || in.size() > kMaxTensors ||
      out.size() > kMaxTensors)
    return Error{
        .code = Code::kInvalidArgument,
        .id = "TENON-R021",
        .message = "not an op record of this build",
        .found = "op " + std::to_string(op->type) + " of " + std::to_string(op->size) + " bytes"};
  for (const Tensor* tensor : in)
    if (tensor == nullptr)
      return Error{.code = Code::kInvalidArgument,
                   .id = "TENON-R022",
                   .message = "a null tensor",
                   .where = row->name};
  if (profile_ == nullptr || !profile_->is_open()) return submit(*row, op, in, out);
  const bool group = op->type == TENON_OP_LINEAR_GROUP;
  const std::uint32_t id =
      group ? reinterpret_cast<const tenon_op_linear_group*>(op)->group : op->type;
  const std::vector<Profile::Row>& rows = group ? group_rows_ : op_rows_;
  if (id >= rows.size()) return submit(*row, op, in, out);
  const ProfileSpan span(profile_, rows[id]);
  TENON_TRY(submit(*row, op, in, out));
  profile_->count_op(rows[id], bytes_of(*row, op, in, out));
  return {};
}

Status OpDispatch::submit(const OpRow& op_row, const tenon_hdr* op, std::span<Tensor* const> in,
                          std::span<Tensor*> out) {
  std::array<TensorShape, kMaxTensors> shapes;
  TENON_TRY(op_row.shape(*model_, op, in, std::span(shapes).first(out.size())));
  std::array<tenon_view, kMaxTensors> in_views, out_views;
  for (std::size_t i = 0; i < in.size(); ++i) in_views[i] = in[i]->view();
  std::size_t made = 0;
  Status status;
  for (; made < out.size() && status.ok(); ++made) {
    Result<Tensor*> tensor = pool_->make(shapes[made]);
    if (!tensor.ok()) {
      status = tensor.take_error();
      break;
    }
    out[made] = *tensor;
    out_views[made] = out[made]->view();
  }
  if (status.ok())
    status = backend_.call(op, in_views.data(), static_cast<std::uint32_t>(in.size()),
                           out_views.data(), static_cast<std::uint32_t>(out.size()));
  if (!status.ok()) {
    for (std::size_t i = 0; i < made; ++i) pool_->release(out[i]);
    return status;
  }
  return {};
}

}  // namespace tenon
