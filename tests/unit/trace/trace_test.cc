#include "core/trace/trace.h"

#include <gtest/gtest.h>

#include "core/trace/generate.h"

namespace tenon {
namespace {

std::string error_of(const std::string& text) {
  const auto rows = parse_trace(text, "t.jsonl");
  return rows.ok() ? "" : rows.error().to_string();
}

TEST(Trace, AFileGivesBackWhatWasWritten) {
  const auto rows = generate_trace(
      {.count = 50, .lengths = Lengths::kShareGpt, .adapters = 3, .prefix_levels = 2});
  ASSERT_TRUE(rows.ok());
  std::string text;
  for (const TraceRow& row : *rows) text += trace_line(row);
  const auto back = parse_trace(text, "t.jsonl");
  ASSERT_TRUE(back.ok()) << back.error().to_string();
  EXPECT_EQ(*back, *rows);
}

TEST(Trace, RowsAreSortedByArrivalAndGetIds) {
  const auto rows = parse_trace(
      "{\"arrival_s\": 2, \"prompt_tokens\": 3, \"max_tokens\": 1}\n\n"
      "{\"arrival_s\": 1, \"prompt\": \"hello\", \"max_tokens\": 4, \"adapter\": \"x\"}\n",
      "t.jsonl");
  ASSERT_TRUE(rows.ok()) << rows.error().to_string();
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].prompt, "hello");
  EXPECT_EQ((*rows)[0].id, "3");
  EXPECT_EQ((*rows)[0].adapter, "x");
  EXPECT_EQ((*rows)[1].prompt_tokens(), 3);
}

TEST(Trace, RefusesByLine) {
  const std::string good = "{\"arrival_s\": 0, \"prompt_tokens\": 3, \"max_tokens\": 1}\n";
  EXPECT_EQ(error_of(good), "");
  for (const char* bad :
       {"[]", "nonsense", "{}", R"({"arrival_s": 0, "prompt_tokens": 3})",
        R"({"arrival_s": -1, "prompt_tokens": 3, "max_tokens": 1})",
        R"({"arrival_s": 0, "prompt_tokens": 0, "max_tokens": 1})",
        R"({"arrival_s": 0, "prompt_tokens": 1.5, "max_tokens": 1})",
        R"({"arrival_s": 0, "prompt_tokens": 18446744073709551615, "max_tokens": 1})",
        R"({"arrival_s": 0, "max_tokens": 1})",
        R"({"arrival_s": 0, "prompt": "x", "prompt_tokens": 1, "max_tokens": 1})",
        R"({"arrival_s": 0, "prompt": 5, "max_tokens": 1})",
        R"({"arrival_s": 0, "prompt_tokens": 1, "max_tokens": 1, "promt": "x"})",
        R"({"arrival_s": 0, "segments": [{"tokens": 0}], "max_tokens": 1})",
        R"({"arrival_s": 0, "segments": [5], "max_tokens": 1})",
        R"({"arrival_s": 0, "segments": [{"tokens": 4}], "prompt_tokens": 5, "max_tokens": 1})",
        R"({"arrival_s": 0, "prompt_tokens": 1, "seed": -1, "max_tokens": 1})"}) {
    const std::string error = error_of(good + bad);
    EXPECT_TRUE(error.starts_with("TENON-A022 t.jsonl:2: ")) << bad << ": " << error;
  }
  EXPECT_TRUE(error_of("\n").starts_with("TENON-A022"));
  EXPECT_NE(error_of(std::string(200000, '[') + std::string(200000, ']')).find("nested"),
            std::string::npos);
  const std::string twice = R"({"id": "a", "arrival_s": 0, "prompt_tokens": 1, "max_tokens": 1})";
  EXPECT_NE(error_of(twice + "\n" + twice).find("twice"), std::string::npos);
  EXPECT_EQ(read_trace("/nonexistent").error().id, "TENON-A021");
}

TEST(Trace, EqualSegmentsAreEqualTokensInEveryRound) {
  const std::vector<std::int32_t> alphabet = {3, 5, 7, 11, 13};
  const TraceRow a{.segments = {{1, 40}, {2, 10}}}, b{.segments = {{1, 40}, {3, 10}}};
  for (const std::uint64_t round : {0u, 1u}) {
    const auto x = segment_tokens(a, alphabet, round), y = segment_tokens(b, alphabet, round);
    ASSERT_EQ(x.size(), 50u);
    EXPECT_TRUE(std::equal(x.begin(), x.begin() + 40, y.begin()));
    EXPECT_NE(x, y);
  }
  EXPECT_NE(segment_tokens(a, alphabet, 0), segment_tokens(a, alphabet, 1));
}

}  // namespace
}  // namespace tenon
