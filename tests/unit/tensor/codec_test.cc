#include "core/tensor/codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
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
  const auto codec = find_codec(GgmlType::kQ6_K);
  ASSERT_FALSE(codec.ok());
  EXPECT_EQ(codec.error().id, "TENON-F090");
  EXPECT_EQ(codec.error().found, "Q6_K");
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
