// What the bytes of a weight mean. Every storage type expands, row by row, to one of a few layouts;
// kernels exist per layout, and a layout fixes the order of its sums (tenon/abi/contract.h). Codecs
// exist here once and nowhere else.
//
//   layout   values per row   scales, mins per group   w                        from
//   f32      float [k]        -                        value                    F32 F16 BF16
//   q4m32    0..15            of 32: f32, f32          scale * value + min      Q4_0 Q4_1 Q4_K
//   q8m32    -128..127        of 32: f32, f32 or none  scale * value (+ min)    Q5_0 Q5_1 Q5_K Q8_0
//   q8n16    -128..127        of 16: f32               scale * value            Q6_K
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/error.h"
#include "core/tensor/ggml_type.h"
#include "tenon/abi/contract.h"
#include "tenon/abi/ops.h"

namespace tenon {

struct Codec {
  GgmlType type;
  tenon_layout layout;
  bool has_min;
  // Expands one row of k values. `values`: int8[k], or float[k] for f32; `scales`, `mins`: [k /
  // layout_group(layout)], mins only where has_min. Scales and mins are products of a few bits
  // each, exact in f32; not all of them are halves.
  void (*expand_row)(const std::byte* row, std::int64_t k, void* values, float* scales,
                     float* mins);
};

// Values along k that share a scale.
constexpr std::int64_t layout_group(tenon_layout layout) {
  return layout == TENON_LAYOUT_Q8N16 ? TENON_GROUP_FINE : TENON_GROUP;
}

// TENON-F090 names the type when this build has no codec for it.
Result<const Codec*> find_codec(GgmlType type);

// Bytes of one row of k values; k is a multiple of the type's block.
std::uint64_t row_bytes(GgmlType type, std::int64_t k);

// A row as doubles, exactly what the file says: for the exact reference, exports and tests.
void dequantise_row(const Codec& codec, const std::byte* row, std::int64_t k, double* out);

}  // namespace tenon
