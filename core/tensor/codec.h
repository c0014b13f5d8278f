// What the bytes of a weight mean. Every storage type expands, row by row, to one of a few layouts;
// kernels exist per layout, and a layout fixes the order of its sums (tenon/abi/contract.h). Codecs
// exist here once and nowhere else.
//
//   layout   values per row        scales, mins per group of 32      w
//   f32      float [k]             -                                 value
//   q4m32    0..15                 f32, f32                          scale * value + min
//   q8m32    -128..127             f32, f32 or none                  scale * value (+ min)
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/error.h"
#include "core/tensor/ggml_type.h"
#include "tenon/abi/ops.h"

namespace tenon {

struct Codec {
  GgmlType type;
  tenon_layout layout;
  bool has_min;
  // Expands one row of k values. `values`: int8[k], or float[k] for f32; `scales`, `mins`: [k /
  // 32].
  void (*expand_row)(const std::byte* row, std::int64_t k, void* values, float* scales,
                     float* mins);
};

// TENON-F090 names the type when this build has no codec for it.
Result<const Codec*> find_codec(GgmlType type);

// Bytes of one row of k values; k is a multiple of the type's block.
std::uint64_t row_bytes(GgmlType type, std::int64_t k);

// A row as doubles, exactly what the file says: for the exact reference, exports and tests.
void dequantise_row(const Codec& codec, const std::byte* row, std::int64_t k, double* out);

}  // namespace tenon
