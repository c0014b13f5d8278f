#include "core/tensor/codec.h"

#include <cstring>
#include <string>
#include <vector>

#include "core/tensor/half.h"

namespace tenon {
namespace {

constexpr std::int64_t kGroup = 32;

float load_f16(const std::byte* at) {
  std::uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return f32_from_f16(bits);
}

void expand_f32(const std::byte* row, std::int64_t k, void* values, float*, float*) {
  std::memcpy(values, row, static_cast<std::size_t>(k) * sizeof(float));
}

void expand_f16(const std::byte* row, std::int64_t k, void* values, float*, float*) {
  auto* out = static_cast<float*>(values);
  for (std::int64_t i = 0; i < k; ++i) out[i] = load_f16(row + 2 * i);
}

// Q4_1 block: f16 scale, f16 min, 16 bytes; byte i holds value i low and value i + 16 high.
void expand_q4_1(const std::byte* row, std::int64_t k, void* values, float* scales, float* mins) {
  auto* out = static_cast<std::int8_t*>(values);
  for (std::int64_t group = 0; group < k / kGroup; ++group, row += 20, out += kGroup) {
    scales[group] = load_f16(row);
    mins[group] = load_f16(row + 2);
    for (int i = 0; i < 16; ++i) {
      const auto byte = static_cast<std::uint8_t>(row[4 + i]);
      out[i] = static_cast<std::int8_t>(byte & 15);
      out[i + 16] = static_cast<std::int8_t>(byte >> 4);
    }
  }
}

// Q8_0 block: f16 scale, 32 signed bytes.
void expand_q8_0(const std::byte* row, std::int64_t k, void* values, float* scales, float*) {
  auto* out = static_cast<std::int8_t*>(values);
  for (std::int64_t group = 0; group < k / kGroup; ++group, row += 34, out += kGroup) {
    scales[group] = load_f16(row);
    std::memcpy(out, row + 2, kGroup);
  }
}

constexpr Codec kCodecs[] = {
    {GgmlType::kF32, TENON_LAYOUT_F32, false, &expand_f32},
    {GgmlType::kF16, TENON_LAYOUT_F32, false, &expand_f16},
    {GgmlType::kQ4_1, TENON_LAYOUT_Q4M32, true, &expand_q4_1},
    {GgmlType::kQ8_0, TENON_LAYOUT_Q8M32, false, &expand_q8_0},
};

}  // namespace

Result<const Codec*> find_codec(GgmlType type) {
  std::string known;
  for (const Codec& codec : kCodecs) {
    if (codec.type == type) return &codec;
    known += (known.empty() ? "" : ", ") + std::string(ggml_type_info(codec.type).name);
  }
  return Error{.code = Code::kUnimplemented,
               .id = "TENON-F090",
               .message = "no codec for this storage type",
               .found = std::string(ggml_type_info(type).name),
               .expected = known,
               .fix = "convert the file to one of these types"};
}

std::uint64_t row_bytes(GgmlType type, std::int64_t k) {
  const GgmlTypeInfo& info = ggml_type_info(type);
  return static_cast<std::uint64_t>(k) / info.block_values * info.block_bytes;
}

void dequantise_row(const Codec& codec, const std::byte* row, std::int64_t k, double* out) {
  if (codec.layout == TENON_LAYOUT_F32) {
    std::vector<float> values(static_cast<std::size_t>(k));
    codec.expand_row(row, k, values.data(), nullptr, nullptr);
    for (std::int64_t i = 0; i < k; ++i) out[i] = values[static_cast<std::size_t>(i)];
    return;
  }
  std::vector<std::int8_t> values(static_cast<std::size_t>(k));
  std::vector<float> scales(static_cast<std::size_t>(k / kGroup)), mins(scales.size());
  codec.expand_row(row, k, values.data(), scales.data(), mins.data());
  for (std::int64_t i = 0; i < k; ++i) {
    const auto group = static_cast<std::size_t>(i / kGroup);
    out[i] = double{scales[group]} * values[static_cast<std::size_t>(i)] + double{mins[group]};
  }
}

}  // namespace tenon
