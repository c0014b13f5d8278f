// The storage types that GGUF files use: one table with block sizes, for every type the format
// names. What a type's bytes mean is in codec.h; a type that has no codec yet is known here and
// refused there by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tenon {

enum class GgmlType : std::uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ8_1 = 9,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kQ8_K = 15,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kBF16 = 30,
};

struct GgmlTypeInfo {
  GgmlType type;
  std::string_view name;       // as llama.cpp prints it: "Q4_1"
  std::uint32_t block_values;  // values per block; a row's length is a multiple of it
  std::uint32_t block_bytes;
};

// Null for an id that is not in the table.
const GgmlTypeInfo* find_ggml_type(std::uint32_t id);
const GgmlTypeInfo& ggml_type_info(GgmlType type);

}  // namespace tenon
