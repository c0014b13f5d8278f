// The inner loops of attention, one table per instruction set; every table computes the same bits.
#pragma once

#include <cstdint>

#include "tenon/abi/contract.h"
#include "tenon/abi/ops.h"

namespace tenon::cpu {

// The state of one chunk of 64 keys, or of a row and head over its chunks: (M, L) of the contract's
// rule 8.
struct ChunkState {
  float most, sum;
};

// The keys [from, valid) of a page; the last `longer` queries read the one at `valid` too. For the
// others that may hold anything.
struct PageKeys {
  int from, valid, longer;

  bool operator==(const PageKeys&) const = default;
  int end() const { return valid + (longer > 0 ? 1 : 0); }
  int end_of(int query, int count) const { return valid + (query >= count - longer ? 1 : 0); }
};

// Queries that a kernel keeps in registers at once: 6 times 64 sums fill AVX-512's registers.
constexpr int kQueryBlock = 6;
// Rows that store_keys takes at most.
constexpr int kStoreRows = 8;

// A query is one head of one row. K of a page and head: halves [dim, 64]; V: halves [64, dim].
struct AttendKernels {
  // Turns `heads` heads of `dim` values in place; cos_sin: [rope_dims / 2, 2] of their position.
  void (*turn)(float* x, int heads, int dim, const float* cos_sin, int rope_dims,
               std::int32_t style);

  // `rows` <= kStoreRows rows become neighbouring slots of a page; x: [rows, dim]; k: at the first.
  void (*store_keys)(const float* x, int rows, int dim, std::uint16_t* k);
  void (*store_values)(const float* x, int dim, std::uint16_t* v);

  // Takes a chunk into the running states and totals of `count` <= kQueryBlock queries that read
  // `keys` of a page; q, totals: [count, dim], states: [count]. `next`: the page's K after this.
  void (*chunk)(const float* q, int count, int dim, const std::uint16_t* k, const std::uint16_t* v,
                const std::uint16_t* next, const PageKeys& keys, float scale, ChunkState* states,
                float* totals);

  // Takes a chunk's state and sums into a running state and total.
  void (*fold)(ChunkState& state, float* total, const ChunkState& chunk_state, const float* chunk,
               int dim);
};

// Calls f<R>() for R = count.
template <class F>
void for_queries(int count, F&& f) {
  switch (count) {
    case 1:
      return f.template operator()<1>();
    case 2:
      return f.template operator()<2>();
    case 3:
      return f.template operator()<3>();
    case 4:
      return f.template operator()<4>();
    case 5:
      return f.template operator()<5>();
    default:
      return f.template operator()<kQueryBlock>();
  }
}

const AttendKernels& avx2_attend_kernels();
const AttendKernels& avx512_attend_kernels();

}  // namespace tenon::cpu
