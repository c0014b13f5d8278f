// The way of every op call: find its row, check shapes, take outputs from the pool, hand the record
// to the backend. Nothing here allocates once the pool has seen the shapes.
#pragma once

#include <array>

#include "core/iface/tables.h"
#include "core/ops/op_table.h"

namespace tenon {

class OpDispatch {
 public:
  // All three outlive the dispatch.
  OpDispatch(const ModelShape* model, iface::Backend backend, TensorPool* pool)
      : model_(model), backend_(backend), pool_(pool) {}

  // Outputs are new handles with one reference; none is made when the call fails. Thread: the
  // step's.
  Status call(const tenon_hdr* op, std::span<Tensor* const> in, std::span<Tensor*> out);

  TensorPool& pool() { return *pool_; }

 private:
  static constexpr std::size_t kMaxTensors = 8;
  const ModelShape* model_;
  iface::Backend backend_;
  TensorPool* pool_;
};

}  // namespace tenon
