#include "core/format/utf8.h"

#include <gtest/gtest.h>

namespace tenon {
namespace {

TEST(Utf8, RoundTripsEveryCodePoint) {
  for (std::uint32_t code = 0; code < 0x110000; ++code) {
    std::string text;
    utf8_append(text, code);
    const bool surrogate = code >= 0xD800 && code < 0xE000;
    ASSERT_EQ(utf8_length(text, 0), surrogate ? 0 : text.size()) << code;
    if (surrogate) continue;
    ASSERT_EQ(utf8_decode(text, 0, text.size()), code);
  }
}

TEST(Utf8, RefusesWhatIsNot) {
  for (const std::string_view bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
        "\xF4\x90\x80\x80", "\xF5", "\xFF", "\xC3", "\xE2\x82",
        "a\xC3"
        "b"})
    EXPECT_FALSE(is_utf8(bad));
  EXPECT_TRUE(is_utf8(""));
}

TEST(Utf8, FindsUnfinishedTails) {
  EXPECT_EQ(utf8_unfinished_tail(""), 0u);
  EXPECT_EQ(utf8_unfinished_tail("abc"), 0u);
  EXPECT_EQ(utf8_unfinished_tail("a\xC3"), 1u);
  EXPECT_EQ(utf8_unfinished_tail("a\xC3\xA9"), 0u);
  EXPECT_EQ(utf8_unfinished_tail("\xF0\x9F\x98"), 3u);
  EXPECT_EQ(utf8_unfinished_tail("\xF0\x80"), 0u);  // cannot become valid
  EXPECT_EQ(utf8_unfinished_tail("\x80\x80\x80\x80"), 0u);
}

TEST(Utf8, ReplacesInvalidBytes) {
  EXPECT_EQ(utf8_replace_invalid("a\xFFz"), "a\xEF\xBF\xBDz");
  EXPECT_EQ(quote_for_message("a\nb"), "\"a?b\"");
  EXPECT_EQ(quote_for_message(std::string(100, 'x')).size(), 85u);
}

}  // namespace
}  // namespace tenon
