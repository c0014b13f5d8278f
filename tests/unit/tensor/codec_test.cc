#include "core/tensor/codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "core/tensor/half.h"

namespace tenon {
namespace {

std::vector<std::byte> bytes_of(std::initializer_list<float> halves, const std::vector<int>& rest) {
  std::vector<std::byte> out;
  for (const float value : halves) {
    const std::uint16_t bits = f16_from_f32(value);
    out.push_back(static_cast<std::byte>(bits & 255));
    out.push_back(static_cast<std::byte>(bits >> 8));
  }
  for (const int value : rest) out.push_back(static_cast<std::byte>(value));
  return out;
}

TEST(Codec, Q4_1KeepsLowAndHighNibblesApart) {
  std::vector<int> nibbles;
  for (int i = 0; i < 16; ++i) nibbles.push_back(i | (15 - i) << 4);
  const std::vector<std::byte> row = bytes_of({0.5f, -2.0f}, nibbles);
  const Codec& codec = **find_codec(GgmlType::kQ4_1);
  std::vector<double> out(32);
  dequantise_row(codec, row.data(), 32, out.data());
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(out[i], 0.5 * i - 2);
    EXPECT_EQ(out[i + 16], 0.5 * (15 - i) - 2);
  }
}

TEST(Codec, Q8_0IsSigned) {
  std::vector<int> values;
  for (int i = 0; i < 32; ++i) values.push_back(i * 8 - 128);
  const std::vector<std::byte> row = bytes_of({0.25f}, values);
  std::vector<double> out(32);
  dequantise_row(**find_codec(GgmlType::kQ8_0), row.data(), 32, out.data());
  for (int i = 0; i < 32; ++i) EXPECT_EQ(out[i], 0.25 * (i * 8 - 128));
}

TEST(Codec, F16AndF32AreTakenAsTheyAre) {
  const std::vector<std::byte> half = bytes_of({1.5f, -0.1f}, {});
  std::vector<double> out(2);
  dequantise_row(**find_codec(GgmlType::kF16), half.data(), 2, out.data());
  EXPECT_EQ(out[0], 1.5);
  EXPECT_EQ(out[1], f32_from_f16(f16_from_f32(-0.1f)));
  const float values[2] = {3.25f, -1e-20f};
  dequantise_row(**find_codec(GgmlType::kF32), reinterpret_cast<const std::byte*>(values), 2,
                 out.data());
  EXPECT_EQ(out[1], double{-1e-20f});
}

TEST(Codec, ATypeWithoutACodecIsNamed) {
  const auto codec = find_codec(GgmlType::kQ2_K);
  ASSERT_FALSE(codec.ok());
  EXPECT_EQ(codec.error().id, "TENON-F090");
  EXPECT_EQ(codec.error().found, "Q2_K");
  EXPECT_NE(codec.error().expected.find("Q6_K"), std::string::npos);
}

struct GoldenRow {
  const GgmlTypeInfo* type = nullptr;
  std::vector<std::byte> bytes;
  std::vector<float> values;
};

std::vector<std::byte> from_hex(const std::string& text) {
  std::vector<std::byte> out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<std::byte>(std::stoi(text.substr(i, 2), nullptr, 16)));
  return out;
}

// codec_golden.py: rows and what the gguf package makes of them.
std::vector<GoldenRow> golden_rows() {
  std::vector<GoldenRow> out;
  std::ifstream file(TENON_SOURCE_DIR "/tests/fixtures/codec/blocks.golden");
  for (std::string name, bytes, values; file >> name >> bytes >> values;) {
    GoldenRow row;
    for (std::uint32_t id = 0; id < 40; ++id)
      if (const GgmlTypeInfo* info = find_ggml_type(id); info && info->name == name)
        row.type = info;
    row.bytes = from_hex(bytes);
    const std::vector<std::byte> floats = from_hex(values);
    row.values.resize(floats.size() / 4);
    std::memcpy(row.values.data(), floats.data(), floats.size());
    out.push_back(std::move(row));
  }
  return out;
}

// The golden values are float32 of one rounding each, as the contract's: they are equal, bits and
// all but the sign of zeros.
TEST(Codec, EveryTypeEqualsTheGoldenBlocks) {
  std::set<std::string_view> seen;
  for (const GoldenRow& row : golden_rows()) {
    ASSERT_NE(row.type, nullptr);
    seen.insert(row.type->name);
    const Codec& codec = **find_codec(row.type->type);
    const auto k = static_cast<std::int64_t>(row.values.size());
    ASSERT_EQ(row_bytes(row.type->type, k), row.bytes.size());
    if (codec.layout == TENON_LAYOUT_F32) {
      std::vector<float> got(row.values.size());
      codec.expand_row(row.bytes.data(), k, got.data(), nullptr, nullptr);
      EXPECT_EQ(got, row.values) << row.type->name;
      continue;
    }
    std::vector<std::int8_t> values(row.values.size());
    std::vector<float> scales(static_cast<std::size_t>(k / layout_group(codec.layout)), NAN), mins;
    if (codec.has_min) mins.assign(scales.size(), NAN);
    codec.expand_row(row.bytes.data(), k, values.data(), scales.data(),
                     codec.has_min ? mins.data() : nullptr);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t group = i / static_cast<std::size_t>(layout_group(codec.layout));
      const auto value = static_cast<float>(values[i]);
      const float got =
          codec.has_min ? std::fma(scales[group], value, mins[group]) : scales[group] * value;
      ASSERT_EQ(got, row.values[i]) << row.type->name << " value " << i;
      ASSERT_TRUE(codec.layout != TENON_LAYOUT_Q4M32 || (values[i] >= 0 && values[i] < 16));
    }
  }
  EXPECT_EQ(seen.size(), 10u);
}

TEST(Codec, DoublesAreWhatTheFileSays) {
  for (const GoldenRow& row : golden_rows()) {
    std::vector<double> got(row.values.size());
    dequantise_row(**find_codec(row.type->type), row.bytes.data(),
                   static_cast<std::int64_t>(got.size()), got.data());
    for (std::size_t i = 0; i < got.size(); ++i)
      ASSERT_EQ(static_cast<float>(got[i]), row.values[i]) << row.type->name << " value " << i;
  }
}

TEST(Codec, RowBytes) {
  EXPECT_EQ(row_bytes(GgmlType::kQ4_1, 576), 576u / 32 * 20);
  EXPECT_EQ(row_bytes(GgmlType::kQ8_0, 64), 68u);
  EXPECT_EQ(row_bytes(GgmlType::kF32, 3), 12u);
}

TEST(Half, EveryHalfRoundTrips) {
  for (std::uint32_t bits = 0; bits < 0x7c00; ++bits)
    EXPECT_EQ(f16_from_f32(f32_from_f16(static_cast<std::uint16_t>(bits))), bits);
  EXPECT_EQ(f16_from_f32(1.0f + 1.0f / 2048), f16_from_f32(1.0f));  // ties to even
  EXPECT_TRUE(std::isinf(f32_from_f16(f16_from_f32(70000.0f))));
}

}  // namespace
}  // namespace tenon
