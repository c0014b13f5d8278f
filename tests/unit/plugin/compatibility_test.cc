#include "core/plugin/compatibility.h"

#include "tests/unit/plugin/fixtures.h"

namespace tenon {
namespace {

TEST(Compatibility, ARecordIsReadInEitherOrder) {
  const auto record = parse_compatibility(
      R"({"format": 1, "pairs": [["a 1", "b 1", "passed", "x"], ["b 1", "c 1", "failed", "y"]]})",
      "test");
  ASSERT_TRUE(record.ok()) << record.error().to_string();
  EXPECT_TRUE(record->find("b 1", "a 1")->passed);
  EXPECT_FALSE(record->find("b 1", "c 1")->passed);
  EXPECT_EQ(record->find("b 1", "c 1")->run, "y");
  EXPECT_EQ(record->find("a 1", "c 1"), nullptr);
  EXPECT_EQ(record->find("a 2", "b 1"), nullptr);
}

TEST(Compatibility, AnythingElseIsRefused) {
  for (const char* bad :
       {"", "[]", "{}", R"({"format": 2, "pairs": []})", R"({"format": 1})",
        R"({"format": 1, "pairs": [["a", "b", "passed"]]})",
        R"({"format": 1, "pairs": [["a", "b", "perhaps", "x"]]})",
        R"({"format": 1, "pairs": [["a", "b", 1, "x"]]})",
        R"({"format": 1, "pairs": [["a", "b", "passed", "x"], ["b", "a", "passed", "x"]]})"}) {
    const auto record = parse_compatibility(bad, "test");
    ASSERT_FALSE(record.ok()) << bad;
    EXPECT_EQ(record.error().id, "TENON-P067");
  }
}

TEST(Compatibility, TheBuiltInOneIsTheFileOfTheTree) {
  const auto file =
      parse_compatibility(read_text(TENON_SOURCE_DIR "/docs/reference/compatibility.json"), "test");
  ASSERT_TRUE(file.ok()) << file.error().to_string();
  EXPECT_FALSE(file->pairs.empty());
  EXPECT_EQ(compatibility_record().pairs.size(), file->pairs.size());
  for (const auto& [pair, result] : file->pairs) {
    EXPECT_LE(pair.first, pair.second);
    EXPECT_FALSE(result.run.empty());
  }
}

}  // namespace
}  // namespace tenon
