// The CPU backend with one instruction set, called through its table, so that a benchmark says the
// same of kernels that are written anew.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/conform/backend_rig.h"

namespace tenon::bench {

// What cannot be set up ends the program with the error: a benchmark has nothing else to do.
void must(const Status& status);

// A matrix of floats in the backend's memory, with normal random values.
class Operand {
 public:
  Operand(const iface::Backend& backend, std::int64_t rows, std::int64_t columns,
          std::mt19937& random);
  ~Operand();
  Operand(const Operand&) = delete;
  Operand& operator=(const Operand&) = delete;
  // Its first rows.
  tenon_view rows(std::int64_t count);

 private:
  iface::Backend backend_;
  void* data_ = nullptr;
  std::int64_t shape_[2], strides_[2];
};

class OpRig {
 public:
  OpRig(const std::string& isa, std::uint32_t threads);
  const iface::Backend& table() const { return rig_->table(); }
  void call(const tenon_hdr* op, std::vector<tenon_view> in, std::vector<tenon_view> out) const;

 private:
  std::unique_ptr<conform::BackendRig> rig_;
};

}  // namespace tenon::bench
