// A prepared linear group on the engine's threads. Few rows are one command: every thread prepares
// them for itself, then multiplies and finishes. Many rows: one that prepares them, one that
// multiplies, and between them one for the inner products of low-rank deltas.
#pragma once

#include <atomic>
#include <vector>

#include "low_rank.h"
#include "tenon/sdk/row_fault.hpp"

namespace tenon::cpu {

struct LinearGroup {
  std::uint32_t id = 0;
  tenon_epilogue epilogue = TENON_EPILOGUE_NONE;
  const float* norm = nullptr;       // [k]
  const float* post_norm = nullptr;  // [n]
  float norm_eps = 0;
  std::vector<const PackedWeight*> weights;
  bool gated() const {
    return epilogue == TENON_EPILOGUE_SILU_MUL || epilogue == TENON_EPILOGUE_GELU_MUL;
  }
};

// out = r + x, or r + norm(x); rows of n values; out may be x.
void submit_add(const sdk::ThreadsService& threads, const Kernels& kernels, const float* norm,
                float eps, const float* x, const float* r, std::int64_t rows, std::int64_t n,
                float* out);

// Room for a group's prepared rows. Commands run in order, so one serves all groups.
class ActivationScratch {
 public:
  // Grows when a shape is larger than any before; the caller has waited for the stream then.
  bool fits(std::int64_t rows, std::int64_t k) const { return rows * k <= values_; }
  void grow(std::int64_t rows, std::int64_t k);
  Activations view(std::int64_t k) const;

 private:
  std::int64_t values_ = 0;
  AlignedBytes memory_;
};

// One worker's own: rows that it has prepared for itself, of the call with that serial number, and
// tiles of gate and up with more bits a value.
struct alignas(64) WorkerRoom {
  std::uint64_t serial = 0;
  ActivationScratch rows;
  std::int64_t tile_values = 0;  // along k
  AlignedBytes tiles;            // two
};

// What calls share: commands run in order, so one serves all groups. Producer thread.
class LinearRoom {
 public:
  explicit LinearRoom(std::uint32_t workers);
  // Grows when a shape is larger than any before; the caller has waited for the stream then.
  bool fits(std::int64_t rows, std::int64_t k) const;
  void grow(std::int64_t rows, std::int64_t k);

  Activations rows(std::int64_t k) const { return rows_.view(k); }
  WorkerRoom* workers() { return workers_.data(); }
  std::uint64_t next_serial() { return ++serial_; }

  std::atomic<std::uint32_t> finished{0};
  sdk::RowFaults faults;

 private:
  ActivationScratch rows_;
  std::vector<WorkerRoom> workers_;
  std::uint64_t serial_ = 0;
};

// Submits the commands. x: [rows, k], residual: [rows, n] or null, out: one [rows, n] per weight
// (silu_mul: one). `deltas` has room and entries for this call; its x is set here.
void submit_linear_group(const sdk::ThreadsService& threads, const Kernels& kernels,
                         const LinearGroup& group, LinearRoom& room, LowRankCall deltas,
                         const float* x, std::int64_t rows, std::int64_t k, const float* residual,
                         float* const* out);

}  // namespace tenon::cpu
