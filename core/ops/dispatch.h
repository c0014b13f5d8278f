// The way of every op call: find its row, check shapes, take outputs from the pool, hand the record
// to the backend. Nothing here allocates once the pool has seen the shapes.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "core/base/profile.h"
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

  // From now on each op is a row of the profile, owned by `backend`: its time on the stream and the
  // bytes that it moves. `kv_value_bytes`: of one value
  // of a key or a value in the cache.
  void measure(Profile* profile, const std::string& backend, double kv_value_bytes);

 private:
  Status submit(const OpRow& row, const tenon_hdr* op, std::span<Tensor* const> in,
                std::span<Tensor*> out);
  double bytes_of(const OpRow& row, const tenon_hdr* op, std::span<Tensor* const> in,
                  std::span<Tensor* const> out) const;
  static constexpr std::size_t kMaxTensors = 8;
  const ModelShape* model_;
  iface::Backend backend_;
  TensorPool* pool_;

  Profile* profile_ = nullptr;
  std::vector<Profile::Row> op_rows_;     // by op id
  std::vector<Profile::Row> group_rows_;  // by linear group
  double kv_value_bytes_ = 0;
};

}  // namespace tenon
