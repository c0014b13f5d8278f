// Every tensor of a real file against what the gguf package makes of it (codec_golden.py tensors).
#include "core/tensor/codec.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <fstream>

#include "core/format/gguf.h"

namespace tenon {
namespace {

// One row as float32, rounded as the contract says.
void expand(const Codec& codec, const std::byte* row, std::int64_t k, std::vector<float>& out) {
  if (codec.layout == TENON_LAYOUT_F32)
    return codec.expand_row(row, k, out.data(), nullptr, nullptr);
  const std::int64_t group = layout_group(codec.layout);
  std::vector<std::int8_t> values(static_cast<std::size_t>(k));
  std::vector<float> scales(static_cast<std::size_t>(k / group)), mins(scales.size());
  codec.expand_row(row, k, values.data(), scales.data(), mins.data());
  for (std::int64_t i = 0; i < k; ++i) {
    const auto at = static_cast<std::size_t>(i), g = static_cast<std::size_t>(i / group);
    const auto value = static_cast<float>(values[at]);
    out[at] = codec.has_min ? std::fma(scales[g], value, mins[g]) : scales[g] * value;
  }
}

std::uint64_t checksum(const GgufTensor& tensor, const Codec& codec) {
  const auto k = static_cast<std::int64_t>(tensor.shape[0]);
  const std::uint64_t bytes = row_bytes(tensor.type, k);
  std::vector<float> row(static_cast<std::size_t>(k));
  std::uint64_t sum = 0, place = 0;
  for (std::uint64_t at = 0; at < tensor.data.size(); at += bytes) {
    expand(codec, tensor.data.data() + at, k, row);
    for (const float value : row)
      sum += (std::uint64_t{std::bit_cast<std::uint32_t>(value + 0.0f)} + 1) *
             ((place++ * 0x9E3779B97F4A7C15ull) | 1);
  }
  return sum;
}

TEST(RealTensors, EqualTheReference) {
  const char* model = std::getenv("TENON_CODEC_MODEL");
  const char* reference = std::getenv("TENON_CODEC_REFERENCE");
  if (model == nullptr || reference == nullptr)
    GTEST_SKIP() << "set TENON_CODEC_MODEL and TENON_CODEC_REFERENCE (codec_golden.py)";
  Result<GgufFile> file = GgufFile::open(model);
  ASSERT_TRUE(file.ok()) << file.error().to_string();
  std::ifstream lines(reference);
  std::size_t tensors = 0;
  std::string name, type, sum;
  for (std::uint64_t values = 0; lines >> name >> type >> values >> sum; ++tensors) {
    const GgufTensor* tensor = file->find_tensor(name);
    ASSERT_NE(tensor, nullptr) << name;
    EXPECT_EQ(ggml_type_info(tensor->type).name, type);
    const Result<const Codec*> codec = find_codec(tensor->type);
    ASSERT_TRUE(codec.ok()) << codec.error().to_string();
    EXPECT_EQ(checksum(*tensor, **codec), std::stoull(sum, nullptr, 16)) << name << " " << type;
  }
  EXPECT_EQ(tensors, file->tensors().size());
}

}  // namespace
}  // namespace tenon
