// The op table: one row an op. Attributes are the op's record (tenon/abi/ops.h), the meaning is
// core/reference; here are its shape rule and its cost.
#pragma once

#include <span>

#include "core/base/error.h"
#include "core/ops/model_shape.h"
#include "core/tensor/tensor.h"

namespace tenon {

struct OpCost {
  double multiply_adds = 0;
  double weight_bytes = 0;  // read from weights, as the file stores them
};

struct OpRow {
  tenon_op id;
  const char* name;
  std::uint32_t record_bytes;
  // Checks the inputs and gives the outputs' shapes. TENON-R02x says which op, what was found and
  // what was expected.
  Status (*shape)(const ModelShape& model, const tenon_hdr* op, std::span<Tensor* const> in,
                  std::span<TensorShape> out);
  OpCost (*cost)(const ModelShape& model, const tenon_hdr* op, std::span<Tensor* const> in);
};

// Null for an id that is not in the table.
const OpRow* find_op(std::uint32_t id);

}  // namespace tenon
