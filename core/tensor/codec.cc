#include "core/tensor/codec.h"

#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "core/tensor/half.h"

namespace tenon {
namespace {

constexpr std::int64_t kGroup = 32, kSuper = 256;

float load_f16(const std::byte* at) {
  std::uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return f32_from_f16(bits);
}

std::uint8_t byte_at(const std::byte* at) { return static_cast<std::uint8_t>(*at); }

void expand_f32(const std::byte* row, std::int64_t k, void* values, float*, float*) {
  std::memcpy(values, row, static_cast<std::size_t>(k) * sizeof(float));
}

void expand_f16(const std::byte* row, std::int64_t k, void* values, float*, float*) {
  auto* out = static_cast<float*>(values);
  for (std::int64_t i = 0; i < k; ++i) out[i] = load_f16(row + 2 * i);
}

// The upper half of a float.
void expand_bf16(const std::byte* row, std::int64_t k, void* values, float*, float*) {
  auto* out = static_cast<float*>(values);
  for (std::int64_t i = 0; i < k; ++i) {
    std::uint16_t upper;
    std::memcpy(&upper, row + 2 * i, sizeof upper);
    out[i] = std::bit_cast<float>(std::uint32_t{upper} << 16);
  }
}

// 16 bytes; byte i holds value i low and value i + 16 high.
void expand_nibbles32(const std::byte* in, std::int8_t* out) {
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<std::int8_t>(byte_at(in + i) & 15);
    out[i + 16] = static_cast<std::int8_t>(byte_at(in + i) >> 4);
  }
}

// A 32-bit word of fifth bits, bit i for value i, and 16 bytes of nibbles.
void expand_fives32(const std::byte* in, std::int8_t* out) {
  std::uint32_t fifth;
  std::memcpy(&fifth, in, sizeof fifth);
  expand_nibbles32(in + 4, out);
  for (int i = 0; i < 32; ++i)
    out[i] = static_cast<std::int8_t>(out[i] | static_cast<int>(fifth >> i & 1) << 4);
}

// Q4_0 block: f16 scale d, nibbles; a value is d * (nibble - 8), so the minimum is -8 d, exactly.
void expand_q4_0(const std::byte* row, std::int64_t k, void* values, float* scales, float* mins) {
  auto* out = static_cast<std::int8_t*>(values);
  for (std::int64_t group = 0; group < k / kGroup; ++group, row += 18, out += kGroup) {
    scales[group] = load_f16(row);
    mins[group] = -8 * scales[group];
    expand_nibbles32(row + 2, out);
  }
}

// Q4_1 block: f16 scale, f16 min, nibbles.
void expand_q4_1(const std::byte* row, std::int64_t k, void* values, float* scales, float* mins) {
  auto* out = static_cast<std::int8_t*>(values);
  for (std::int64_t group = 0; group < k / kGroup; ++group, row += 20, out += kGroup) {
    scales[group] = load_f16(row);
    mins[group] = load_f16(row + 2);
    expand_nibbles32(row + 4, out);
  }
}

// Q5_0 block: f16 scale, fifth bits, nibbles; a value is scale * (five bits - 16).
void expand_q5_0(const std::byte* row, std::int64_t k, void* values, float* scales, float*) {
  auto* out = static_cast<std::int8_t*>(values);
  for (std::int64_t group = 0; group < k / kGroup; ++group, row += 22, out += kGroup) {
    scales[group] = load_f16(row);
    expand_fives32(row + 2, out);
    for (int i = 0; i < kGroup; ++i) out[i] = static_cast<std::int8_t>(out[i] - 16);
  }
}

// Q5_1 block: f16 scale, f16 min, fifth bits, nibbles.
void expand_q5_1(const std::byte* row, std::int64_t k, void* values, float* scales, float* mins) {
  auto* out = static_cast<std::int8_t*>(values);
  for (std::int64_t group = 0; group < k / kGroup; ++group, row += 24, out += kGroup) {
    scales[group] = load_f16(row);
    mins[group] = load_f16(row + 2);
    expand_fives32(row + 4, out);
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

// The head of a Q4_K or Q5_K block of 8 groups: f16 d, f16 dmin, 12 bytes with a 6-bit scale and a
// 6-bit min for each group. Groups 0..3 have theirs in the low six bits of bytes 0..3 (scales) and
// 4..7 (mins); groups 4..7 have the low four bits in bytes 8..11 (scale low, min high) and the
// upper two where groups 0..3 leave them free. A group's scale is d * scale, its min -dmin * min.
void expand_super_head(const std::byte* block, float* scales, float* mins) {
  const float d = load_f16(block), dmin = load_f16(block + 2);
  const std::byte* packed = block + 4;
  for (int g = 0; g < 8; ++g) {
    int scale, min;
    if (g < 4) {
      scale = byte_at(packed + g) & 63;
      min = byte_at(packed + g + 4) & 63;
    } else {
      scale = (byte_at(packed + g + 4) & 15) | byte_at(packed + g - 4) >> 6 << 4;
      min = byte_at(packed + g + 4) >> 4 | byte_at(packed + g) >> 6 << 4;
    }
    scales[g] = d * static_cast<float>(scale);
    mins[g] = -(dmin * static_cast<float>(min));
  }
}

// 32 bytes: the group's values low, those of the next group high.
void expand_nibbles64(const std::byte* in, std::int8_t* out) {
  for (int i = 0; i < 32; ++i) {
    out[i] = static_cast<std::int8_t>(byte_at(in + i) & 15);
    out[i + 32] = static_cast<std::int8_t>(byte_at(in + i) >> 4);
  }
}

// Q4_K block: head of 16 bytes, 128 bytes of nibbles.
void expand_q4_k(const std::byte* row, std::int64_t k, void* values, float* scales, float* mins) {
  auto* out = static_cast<std::int8_t*>(values);
  for (std::int64_t block = 0; block < k / kSuper; ++block, row += 144, out += kSuper) {
    expand_super_head(row, scales + 8 * block, mins + 8 * block);
    for (int pair = 0; pair < 4; ++pair) expand_nibbles64(row + 16 + 32 * pair, out + 64 * pair);
  }
}

// Q5_K block: head of 16 bytes, 32 bytes of fifth bits (bit g of byte i: value i of group g), 128
// bytes of nibbles.
void expand_q5_k(const std::byte* row, std::int64_t k, void* values, float* scales, float* mins) {
  auto* out = static_cast<std::int8_t*>(values);
  for (std::int64_t block = 0; block < k / kSuper; ++block, row += 176, out += kSuper) {
    expand_super_head(row, scales + 8 * block, mins + 8 * block);
    for (int pair = 0; pair < 4; ++pair) expand_nibbles64(row + 48 + 32 * pair, out + 64 * pair);
    for (int i = 0; i < kSuper; ++i) {
      const int fifth = byte_at(row + 16 + i % 32) >> i / 32 & 1;
      out[i] = static_cast<std::int8_t>(out[i] | fifth << 4);
    }
  }
}

// Q6_K block: 128 bytes of nibbles, 64 bytes of upper bit pairs, 16 signed scales of groups of 16,
// f16 d. Each half of a block has 4 quarters of 32 values: quarter q's nibbles are in bytes 0..31
// (q even) or 32..63 (q odd), low for q < 2 and high for the others; its bit pairs are pair q of
// the half's 32 bytes. A value is d * scale * (six bits - 32).
void expand_q6_k(const std::byte* row, std::int64_t k, void* values, float* scales, float*) {
  auto* out = static_cast<std::int8_t*>(values);
  for (std::int64_t block = 0; block < k / kSuper; ++block, row += 210, scales += 16) {
    for (int half = 0; half < 2; ++half, out += 128) {
      const std::byte *low = row + 64 * half, *high = row + 128 + 32 * half;
      for (int i = 0; i < 128; ++i) {
        const int quarter = i / 32;
        const int nibble = byte_at(low + i % 64) >> (quarter < 2 ? 0 : 4) & 15;
        const int pair = byte_at(high + i % 32) >> 2 * quarter & 3;
        out[i] = static_cast<std::int8_t>((nibble | pair << 4) - 32);
      }
    }
    const float d = load_f16(row + 208);
    for (int g = 0; g < 16; ++g)
      scales[g] = d * static_cast<float>(static_cast<std::int8_t>(row[192 + g]));
  }
}

constexpr Codec kCodecs[] = {
    {GgmlType::kF32, TENON_LAYOUT_F32, false, &expand_f32},
    {GgmlType::kF16, TENON_LAYOUT_F32, false, &expand_f16},
    {GgmlType::kBF16, TENON_LAYOUT_F32, false, &expand_bf16},
    {GgmlType::kQ4_0, TENON_LAYOUT_Q4M32, true, &expand_q4_0},
    {GgmlType::kQ4_1, TENON_LAYOUT_Q4M32, true, &expand_q4_1},
    {GgmlType::kQ4_K, TENON_LAYOUT_Q4M32, true, &expand_q4_k},
    {GgmlType::kQ5_0, TENON_LAYOUT_Q8M32, false, &expand_q5_0},
    {GgmlType::kQ5_1, TENON_LAYOUT_Q8M32, true, &expand_q5_1},
    {GgmlType::kQ5_K, TENON_LAYOUT_Q8M32, true, &expand_q5_k},
    {GgmlType::kQ6_K, TENON_LAYOUT_Q8N16, false, &expand_q6_k},
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
  const std::int64_t group_values = layout_group(codec.layout);
  std::vector<float> scales(static_cast<std::size_t>(k / group_values)), mins(scales.size());
  codec.expand_row(row, k, values.data(), scales.data(), mins.data());
  for (std::int64_t i = 0; i < k; ++i) {
    const auto group = static_cast<std::size_t>(i / group_values);
    out[i] = double{scales[group]} * values[static_cast<std::size_t>(i)] + double{mins[group]};
  }
}

}  // namespace tenon
