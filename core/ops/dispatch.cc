#include "core/ops/dispatch.h"

#include <string>

namespace tenon {

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

  std::array<TensorShape, kMaxTensors> shapes;
  TENON_TRY(row->shape(*model_, op, in, std::span(shapes).first(out.size())));
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
