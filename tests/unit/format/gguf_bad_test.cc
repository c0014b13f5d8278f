// Files that must be refused, each with its own id.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <functional>

#include "core/conform/gguf_writer.h"
#include "core/format/gguf.h"

namespace tenon {
namespace {

struct BadFile {
  std::string name, id;
  std::function<std::string()> bytes;
};

// A file with one tensor whose table entry is given.
std::string one_tensor(std::string_view name, const std::vector<std::uint64_t>& shape,
                       std::uint32_t type, std::uint64_t offset, std::size_t data = 64) {
  return GgufWriter().header(1, 0).tensor(name, shape, type, offset).pad().data(data).bytes();
}

GgufWriter one_key() { return GgufWriter().header(0, 1); }

std::string two_tensors(std::string_view second, std::uint64_t offset) {
  GgufWriter out;
  out.header(2, 0).tensor("a", {16}, 0, 0).tensor(second, {16}, 0, offset);
  return out.pad().data(256).bytes();
}

template <class T>
std::string aligned_to(std::uint32_t type, T value) {
  return GgufWriter().header(0, 1).key("general.alignment", type, value).bytes();
}

constexpr std::uint64_t kHuge = ~std::uint64_t{0};

std::vector<BadFile> header_cases() {
  return {
      {"Empty", "TENON-F002", [] { return std::string(); }},
      {"ThreeBytes", "TENON-F002", [] { return std::string("GGU"); }},
      {"OtherMagic", "TENON-F002", [] { return std::string("GGML") + std::string(20, '\0'); }},
      {"NoVersion", "TENON-F004", [] { return std::string("GGUF"); }},
      {"Version1", "TENON-F003", [] { return GgufWriter().header(0, 0, 1).bytes(); }},
      {"Version4", "TENON-F003", [] { return GgufWriter().header(0, 0, 4).bytes(); }},
      {"BigEndian", "TENON-F003", [] { return GgufWriter().header(0, 0, 0x03000000).bytes(); }},
      {"NoCounts", "TENON-F004", [] { return std::string("GGUF\3\0\0\0", 8); }},
      {"ManyKeys", "TENON-F005", [] { return GgufWriter().header(0, kHuge).bytes(); }},
      {"ManyTensors", "TENON-F005", [] { return GgufWriter().header(kHuge, 0).bytes(); }},
      {"OneKeyTooMany", "TENON-F005",
       [] { return GgufWriter().header(0, 2).key("a", kU8, std::uint8_t{1}).bytes(); }},
      {"TensorsEatenByKeys", "TENON-F005",
       [] { return GgufWriter().header(1, 1).key_text("a", std::string(64, 'x')).bytes(); }},
  };
}

std::vector<BadFile> metadata_cases() {
  return {
      {"EmptyKey", "TENON-F006", [] { return one_key().key("", kU32, 7u).bytes(); }},
      {"KeyIsNotText", "TENON-F006", [] { return one_key().key("\xC0\x80", kU32, 7u).bytes(); }},
      {"LongKey", "TENON-F006",
       [] { return one_key().key(std::string(65536, 'k'), kU32, 7u).bytes(); }},
      {"KeyLengthOverflows", "TENON-F004",
       [] { return one_key().raw(kHuge).raw(kHuge).raw(kHuge).bytes(); }},
      {"SameKeyTwice", "TENON-F007",
       [] { return GgufWriter().header(0, 2).key("a", kU32, 1u).key("a", kU32, 1u).bytes(); }},
      {"UnknownType", "TENON-F008", [] { return one_key().key("a", 13, 7u).bytes(); }},
      {"UnknownElement", "TENON-F008", [] { return one_key().key_array("a", 99, 0).bytes(); }},
      {"NestedArray", "TENON-F009", [] { return one_key().key_array("a", kArray, 1).bytes(); }},
      {"HugeArray", "TENON-F005", [] { return one_key().key_array("a", kU64, kHuge).bytes(); }},
      {"HugeByteArray", "TENON-F005",
       [] { return one_key().key_array("a", kU8, 1u << 30).data(100).bytes(); }},
      {"HugeTextArray", "TENON-F005",
       [] { return one_key().key_array("a", kString, 1u << 30).data(100).bytes(); }},
      {"TextArrayCut", "TENON-F004",
       [] { return one_key().key_array("a", kString, 1).raw<std::uint64_t>(9).bytes(); }},
      {"TextOverflows", "TENON-F004",
       [] { return one_key().text("a").raw<std::uint32_t>(kString).raw(kHuge).bytes(); }},
      {"ValueCut", "TENON-F004", [] { return one_key().key("a", kU64, 7u).bytes(); }},
      {"BoolIs2", "TENON-F010", [] { return one_key().key("a", kBool, std::uint8_t{2}).bytes(); }},
      {"BoolArrayHas255", "TENON-F010",
       [] { return one_key().key_array("a", kBool, 2).raw('\1').raw('\xFF').bytes(); }},
      {"Alignment0", "TENON-F011", [] { return aligned_to(kU32, 0u); }},
      {"Alignment48", "TENON-F011", [] { return aligned_to(kU32, 48u); }},
      {"AlignmentHuge", "TENON-F011", [] { return aligned_to(kU32, 1u << 31); }},
      {"AlignmentSigned", "TENON-F011", [] { return aligned_to(kI32, 32); }},
      {"AlignmentFloat", "TENON-F011", [] { return aligned_to(kF32, 32.0f); }},
  };
}

std::vector<BadFile> tensor_cases() {
  return {
      {"TensorWithoutName", "TENON-F012", [] { return one_tensor("", {1}, 0, 0); }},
      {"TensorNameNotText", "TENON-F012", [] { return one_tensor("\xFF", {1}, 0, 0); }},
      {"TensorTwice", "TENON-F012", [] { return two_tensors("a", 64); }},
      {"NoDimensions", "TENON-F013", [] { return one_tensor("a", {}, 0, 0); }},
      {"FiveDimensions", "TENON-F013",
       [] {
         return one_tensor("a", {1, 1, 1, 1, 1}, 0, 0);
       }},
      {"ZeroDimension", "TENON-F014",
       [] {
         return one_tensor("a", {4, 0}, 0, 0);
       }},
      {"ShapeOverflows", "TENON-F014",
       [] {
         return one_tensor("a", {1ull << 32, 1ull << 32}, 0, 0);
       }},
      {"ShapeWrapsToSmall", "TENON-F014",
       [] {
         return one_tensor("a", {1ull << 62, 4, 1, 1}, 24, 0);
       }},
      {"BytesOverflow", "TENON-F014", [] { return one_tensor("a", {1ull << 62}, 27, 0); }},
      {"UnknownStorage", "TENON-F015", [] { return one_tensor("a", {1}, 4, 0); }},
      {"StorageFarOut", "TENON-F015", [] { return one_tensor("a", {1}, 0xFFFFFFFF, 0); }},
      {"RowIsNoBlock", "TENON-F016", [] { return one_tensor("a", {33}, 2, 0); }},
      {"RowIsNoBigBlock", "TENON-F016",
       [] {
         return one_tensor("a", {32, 8}, 12, 0);
       }},
      {"OffsetNotAligned", "TENON-F017", [] { return one_tensor("a", {1}, 0, 4); }},
      {"DataBeyondEnd", "TENON-F018", [] { return one_tensor("a", {17}, 0, 0); }},
      {"OffsetBeyondEnd", "TENON-F018", [] { return one_tensor("a", {1}, 0, 1ull << 40); }},
      {"OffsetOverflows", "TENON-F018", [] { return one_tensor("a", {1}, 0, kHuge - 31); }},
      {"NoData", "TENON-F018",
       [] { return GgufWriter().header(1, 0).tensor("a", {1}, 0, 0).bytes(); }},
      {"SameBytes", "TENON-F019", [] { return two_tensors("b", 0); }},
      {"Overlap", "TENON-F019", [] { return two_tensors("b", 32); }},
      {"TableCut", "TENON-F004",
       [] { return GgufWriter().header(1, 0).text("abcdefghij").raw(4u).data(20).bytes(); }},
  };
}

void expect_refused(const std::vector<BadFile>& cases) {
  for (const BadFile& bad : cases) {
    const std::string bytes = bad.bytes();
    const Result<GgufFile> file = GgufWriter::parse_bytes(bytes);
    ASSERT_FALSE(file.ok()) << bad.name;
    EXPECT_EQ(file.error().id, bad.id) << bad.name << ": " << file.error().to_string();
    EXPECT_TRUE(file.error().where.starts_with("test.gguf@")) << bad.name;
    EXPECT_FALSE(file.error().found.empty()) << bad.name;
    EXPECT_FALSE(file.error().expected.empty()) << bad.name;
  }
}

TEST(GgufBad, Headers) { expect_refused(header_cases()); }
TEST(GgufBad, Metadata) { expect_refused(metadata_cases()); }
TEST(GgufBad, Tensors) { expect_refused(tensor_cases()); }

TEST(GgufBad, EveryTruncationIsRefused) {
  const std::string bytes = sample_gguf().bytes();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::string cut(bytes, 0, size);  // its own allocation: a sanitizer sees the end
    EXPECT_FALSE(GgufWriter::parse_bytes(cut).ok()) << size;
  }
}

TEST(GgufBad, MutationsAreReadOrRefused) {
  const std::string good = sample_gguf().bytes();
  EXPECT_TRUE(rc::check("a mutated file gives a file or a named error", [&] {
    std::string bytes = good;
    const auto changes = *rc::gen::container<std::vector<std::pair<std::size_t, char>>>(
        rc::gen::pair(rc::gen::inRange<std::size_t>(0, good.size()), rc::gen::arbitrary<char>()));
    for (const auto& [at, value] : changes) bytes[at] = value;
    bytes.resize(*rc::gen::inRange<std::size_t>(0, bytes.size() + 1));
    const Result<GgufFile> file = GgufWriter::parse_bytes(bytes);
    if (!file.ok()) {
      RC_ASSERT(file.error().id.starts_with("TENON-F0"));
      return;
    }
    for (const GgufTensor& tensor : file->tensors())
      RC_ASSERT(tensor.data.empty() || tensor.data.back() == tensor.data.back());
  }));
}

}  // namespace
}  // namespace tenon
