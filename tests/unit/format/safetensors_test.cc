#include "core/format/safetensors.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <limits>

#include "tests/unit/format/safetensors_writer.h"

namespace tenon {
namespace {

TEST(Safetensors, GivesTensorsByName) {
  const std::string bytes = sample_safetensors();
  const Result<SafetensorsFile> file = parse_safetensors(bytes);
  ASSERT_TRUE(file.ok()) << file.error().to_string();
  std::string names;
  for (const SafetensorsTensor& tensor : file->tensors()) names += tensor.name + " ";
  EXPECT_EQ(names, "a.weight b n q z ");
  EXPECT_EQ(file->metadata().size(), 2u);
  EXPECT_EQ(file->metadata()[1], (std::pair<std::string, std::string>("r", "8")));
  const SafetensorsTensor* b = file->find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->type->name, "F16");
  EXPECT_EQ(b->shape, (std::vector<std::uint64_t>{3}));
  EXPECT_EQ(b->data.size(), 6u);
  EXPECT_EQ(static_cast<int>(b->data[0]), 16);
  EXPECT_EQ(file->find("z")->values(), 1u);
  EXPECT_EQ(file->find("n")->values(), 0u);
  EXPECT_EQ(file->find("q")->data.size(), 3u);
  EXPECT_EQ(file->find("a"), nullptr);
  const auto missing = file->get("a.weigth");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().id, "TENON-F073");
  EXPECT_NE(missing.error().fix.find("a.weight"), std::string::npos);
}

TEST(Safetensors, ReadsFloatsOnly) {
  const std::string bytes = sample_safetensors();
  const Result<SafetensorsFile> file = parse_safetensors(bytes);
  ASSERT_TRUE(file.ok());
  std::vector<float> room(6);
  EXPECT_TRUE(file->read_f32(*file->find("a.weight"), std::span(room).first(4)).ok());
  EXPECT_TRUE(file->read_f32(*file->find("z"), std::span(room).first(1)).ok());
  const Status small = file->read_f32(*file->find("a.weight"), std::span(room).first(3));
  ASSERT_FALSE(small.ok());
  EXPECT_EQ(small.error().id, "TENON-F075");
  const Status four = file->read_f32(*file->find("q"), room);
  ASSERT_FALSE(four.ok());
  EXPECT_EQ(four.error().id, "TENON-F074");
  EXPECT_EQ(four.error().found, "F4");
}

// Written by the safetensors package (safetensors_golden.py): value i of each tensor of floats is
// (i - 5) * 0.375, with an infinity and a NaN at the end of some.
TEST(Safetensors, ReadsWhatThePackageWrote) {
  const Result<SafetensorsFile> file =
      SafetensorsFile::open(TENON_SOURCE_DIR "/tests/fixtures/safetensors/small.safetensors");
  ASSERT_TRUE(file.ok()) << file.error().to_string();
  ASSERT_EQ(file->tensors().size(), 6u);
  for (const char* name : {"f32", "f16", "bf16"}) {
    const SafetensorsTensor* tensor = file->find(name);
    ASSERT_NE(tensor, nullptr) << name;
    EXPECT_EQ(tensor->shape, (std::vector<std::uint64_t>{3, 5}));
    std::vector<float> values(15);
    ASSERT_TRUE(file->read_f32(*tensor, values).ok());
    for (int i = 0; i < 13; ++i)
      EXPECT_EQ(values[static_cast<std::size_t>(i)], static_cast<float>(i - 5) * 0.375f) << name;
    EXPECT_EQ(values[13], -std::numeric_limits<float>::infinity());
    EXPECT_TRUE(std::isnan(values[14]));
  }
  EXPECT_EQ(file->find("ids")->type->name, "I64");
  EXPECT_TRUE(file->find("none")->data.empty());
  EXPECT_EQ(file->find("one")->shape.size(), 0u);
  float one = 0;
  ASSERT_TRUE(file->read_f32(*file->find("one"), {&one, 1}).ok());
  EXPECT_EQ(one, 7.5f);
  EXPECT_EQ(file->metadata()[0].second, "\u00e9\"x");
}

TEST(Safetensors, AFileThatIsNotThereIsNamed) {
  for (const char* path : {"/nonexistent.safetensors", "/", "/dev/null"}) {
    const Result<SafetensorsFile> file = SafetensorsFile::open(path);
    ASSERT_FALSE(file.ok());
    EXPECT_EQ(file.error().id, "TENON-F060");
  }
}

struct BadTensors {
  std::string name, id, header;
  std::size_t data = 8;
};

// One tensor "t" with these fields.
std::string one(const std::string& fields) {
  return std::string("{\"t\":{").append(fields).append("}}");
}

const std::string kGood = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";

std::string named(const std::string& name) {
  return std::string("{\"").append(name).append("\":{").append(kGood).append("}}");
}

// A tensor "t" and one more.
std::string twice(const std::string& second) {
  std::string out = one(kGood);
  out.pop_back();
  return out.append(",\"").append(second).append("\":{").append(kGood).append("}}");
}

std::vector<BadTensors> structure_cases() {
  const std::string dtype = R"("dtype":"F32",)", shape = R"("shape":[2],)",
                    offsets = R"("data_offsets":[0,8])";
  return {
      {"Spaces", "TENON-F063", "   "},
      {"Zeros", "TENON-F063", std::string(4, '\0')},
      {"SpaceBefore", "TENON-F063", std::string(" ").append(one(kGood))},
      {"ByteOrderMark", "TENON-F063", std::string("\xEF\xBB\xBF").append(one(kGood))},
      {"Array", "TENON-F063", "[]"},
      {"Cut", "TENON-F063", one(kGood).substr(0, 20)},
      {"TextAfter", "TENON-F063", one(kGood) + "x"},
      {"ZerosAfter", "TENON-F063", one(kGood) + std::string(3, '\0')},
      {"NotUtf8", "TENON-F063", named("\xFF")},
      {"Comment", "TENON-F063", "{/**/}"},
      {"HugeNumber", "TENON-F063", one(dtype + R"("shape":[1e999],)" + offsets)},
      {"TensorIsText", "TENON-F064", R"({"t":"F32"})"},
      {"TensorIsArray", "TENON-F064", R"({"t":[]})"},
      {"TensorIsNull", "TENON-F064", R"({"t":null})"},
      {"UnknownField", "TENON-F064", one(kGood + R"(,"strides":[1])")},
      {"DtypeIsNumber", "TENON-F064", one(R"("dtype":4,)" + shape + offsets)},
      {"ShapeIsNumber", "TENON-F064", one(dtype + R"("shape":2,)" + offsets)},
      {"ShapeIsNested", "TENON-F064", one(dtype + R"("shape":[[2]],)" + offsets)},
      {"ShapeIsNegative", "TENON-F064", one(dtype + R"("shape":[-2],)" + offsets)},
      {"ShapeIsReal", "TENON-F064", one(dtype + R"("shape":[2.0],)" + offsets)},
      {"ShapeIsBeyond64Bits", "TENON-F064",
       one(dtype + R"("shape":[18446744073709551616],)" + offsets)},
      {"ShapeHasText", "TENON-F064", one(dtype + R"("shape":["2"],)" + offsets)},
      {"ShapeHasBool", "TENON-F064", one(dtype + R"("shape":[true],)" + offsets)},
      {"OneOffset", "TENON-F064", one(dtype + shape + R"("data_offsets":[0])")},
      {"ThreeOffsets", "TENON-F064", one(dtype + shape + R"("data_offsets":[0,8,8])")},
      {"NestedDeep", "TENON-F064", std::string("{\"t\":").append(100'000, '[')},
      {"MetadataIsText", "TENON-F064", R"({"__metadata__":"x"})"},
      {"MetadataIsNested", "TENON-F064", R"({"__metadata__":{"a":{"b":"c"}}})"},
      {"MetadataIsNumber", "TENON-F064", R"({"__metadata__":{"a":1}})"},
      {"NameTwice", "TENON-F065", twice("t")},
      {"NameTwiceEscaped", "TENON-F065", twice("\\u0074")},
      {"FieldTwice", "TENON-F065", one(kGood + R"(,"dtype":"F32")")},
      {"MetadataTwice", "TENON-F065", R"({"__metadata__":{},"__metadata__":{}})"},
      {"MetadataKeyTwice", "TENON-F065", R"({"__metadata__":{"a":"1","a":"2"}})"},
      {"NoDtype", "TENON-F066", one(shape + offsets)},
      {"NoShape", "TENON-F066", one(dtype + offsets)},
      {"NoOffsets", "TENON-F066", one(R"("dtype":"F32","shape":[2])")},
      {"NoFields", "TENON-F066", one("")},
  };
}

std::vector<BadTensors> tensor_cases() {
  const auto of = [](const std::string& dtype, const std::string& shape,
                     const std::string& offsets) {
    std::string fields = R"("dtype":")";
    fields.append(dtype).append(R"(","shape":[)").append(shape);
    return one(fields.append(R"(],"data_offsets":[)").append(offsets).append("]"));
  };
  const auto two = [](const std::string& first, const std::string& second) {
    const std::string fields = R"("dtype":"U8","shape":[4],"data_offsets":)";
    return std::string("{\"a\":{")
               .append(fields + first)
               .append("},\"b\":{")
               .append(fields + second) +
           "}}";
  };
  return {
      {"Dtype", "TENON-F067", of("F33", "2", "0,8")},
      {"DtypeInLowerCase", "TENON-F067", of("f32", "2", "0,8")},
      {"ShapeOverflows", "TENON-F068", of("F32", "4294967296,4294967296", "0,8")},
      {"ShapeOverflowsToItsSize", "TENON-F068", of("F32", "2,4611686018427387904,4", "0,8")},
      {"HalfAByte", "TENON-F068", of("F4", "3", "0,2")},
      {"EndsBeforeItStarts", "TENON-F069", of("F32", "2", "8,0")},
      {"EndsBeyondTheData", "TENON-F069", of("F32", "4", "0,16")},
      {"StartsBeyondTheData", "TENON-F069", of("F32", "0", "9,9")},
      {"OffsetsAtTheEndOfNumbers", "TENON-F069",
       of("F32", "2", "18446744073709551608,18446744073709551615")},
      {"SizeIsTooSmall", "TENON-F070", of("F32", "2", "0,4")},
      {"SizeIsTooLarge", "TENON-F070", of("F32", "1", "0,8")},
      {"NoValuesButBytes", "TENON-F070", of("F32", "0", "0,8")},
      {"Overlap", "TENON-F071", two("[0,4]", "[3,7]"), 7},
      {"SameBytes", "TENON-F071", two("[0,4]", "[0,4]"), 4},
      {"Gap", "TENON-F072", two("[0,4]", "[5,9]"), 9},
      {"GapAtTheStart", "TENON-F072", two("[5,9]", "[1,5]"), 9},
      {"BytesAtTheEnd", "TENON-F072", two("[0,4]", "[4,8]"), 9},
      {"OnlyBytes", "TENON-F072", "{}", 1},
  };
}

class SafetensorsBad : public testing::TestWithParam<BadTensors> {};

TEST_P(SafetensorsBad, IsRefusedByName) {
  const std::string bytes = safetensors_bytes(GetParam().header, GetParam().data);
  const Result<SafetensorsFile> file = parse_safetensors(bytes);
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().id, GetParam().id) << file.error().to_string();
  EXPECT_FALSE(file.error().found.empty() || file.error().expected.empty());
  EXPECT_NE(file.error().where.find("test.safetensors"), std::string::npos);
}

std::string name_of(const testing::TestParamInfo<BadTensors>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Structure, SafetensorsBad, testing::ValuesIn(structure_cases()), name_of);
INSTANTIATE_TEST_SUITE_P(Tensors, SafetensorsBad, testing::ValuesIn(tensor_cases()), name_of);

TEST(SafetensorsBad, LengthsOfTheHeader) {
  for (const std::size_t size : {0u, 1u, 7u})
    EXPECT_EQ(parse_safetensors(std::string(size, '\1')).error().id, "TENON-F061");
  std::string bytes = sample_safetensors();
  for (const std::uint64_t length :
       {std::uint64_t{0}, std::uint64_t{1}, bytes.size() - 7, std::uint64_t{100'000'001},
        ~std::uint64_t{0}, ~std::uint64_t{0} - 7}) {
    std::memcpy(bytes.data(), &length, sizeof length);
    const Result<SafetensorsFile> file = parse_safetensors(bytes);
    ASSERT_FALSE(file.ok()) << length;
    EXPECT_EQ(file.error().id, "TENON-F062") << length;
  }
}

TEST(SafetensorsBad, EveryCutIsRefused) {
  const std::string bytes = sample_safetensors();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const Result<SafetensorsFile> file = parse_safetensors(bytes.substr(0, size));
    ASSERT_FALSE(file.ok()) << size;
    EXPECT_EQ(file.error().id.rfind("TENON-F06", 0), 0u) << file.error().to_string();
  }
}

TEST(SafetensorsBad, ChangedBytesAreTakenOrNamed) {
  EXPECT_TRUE(rc::check("any bytes", [] {
    std::string bytes = sample_safetensors();
    const int changes = *rc::gen::inRange(1, 6);
    for (int i = 0; i < changes; ++i)
      bytes[*rc::gen::inRange<std::size_t>(0, bytes.size())] = *rc::gen::arbitrary<char>();
    const Result<SafetensorsFile> file = parse_safetensors(bytes);
    if (!file.ok()) RC_ASSERT(file.error().id.rfind("TENON-F0", 0) == 0);
  }));
}

}  // namespace
}  // namespace tenon
