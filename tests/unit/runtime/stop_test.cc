#include "core/runtime/stop.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace tenon {
namespace {

TEST(Stop, WithoutStopsTextPassesThrough) {
  StopMatcher matcher;
  EXPECT_EQ(matcher.push("abc"), "abc");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(Stop, HoldsBackWhatMayBecomeAStop) {
  StopMatcher matcher({"END", "\n\n"});
  EXPECT_EQ(matcher.push("one E"), "one ");
  EXPECT_EQ(matcher.push("N"), "");
  EXPECT_EQ(matcher.push("O\n"), "ENO");
  EXPECT_EQ(matcher.push("END"), "\n");
  EXPECT_TRUE(matcher.stopped());
}

TEST(Stop, FinishGivesBackWhatWasHeld) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.push("the EN"), "the ");
  EXPECT_EQ(matcher.finish(), "EN");
  EXPECT_FALSE(matcher.stopped());
}

// However a text is cut, what comes out is the text up to the first stop string.
TEST(Stop, CuttingDoesNotMatter) {
  EXPECT_TRUE(rc::check([] {
    const auto letters = rc::gen::container<std::string>(rc::gen::elementOf(std::string("aab")));
    const std::string text = *letters;
    std::vector<std::string> stops;
    for (const std::string& stop : *rc::gen::container<std::vector<std::string>>(letters))
      if (!stop.empty()) stops.push_back(stop);
    StopMatcher matcher(stops);
    std::string out;
    for (std::size_t at = 0; at < text.size() && !matcher.stopped();) {
      const std::size_t size = *rc::gen::inRange<std::size_t>(1, 4);
      out += matcher.push(text.substr(at, size));
      at += size;
    }
    if (!matcher.stopped()) out += matcher.finish();
    std::size_t first_end = std::string::npos;  // the stop that is complete first ends the answer
    for (const std::string& stop : stops)
      if (const std::size_t at = text.find(stop); at != std::string::npos)
        first_end = std::min(first_end, at + stop.size());
    if (first_end == std::string::npos) {
      RC_ASSERT(out == text);
    } else {
      RC_ASSERT(matcher.stopped());
      RC_ASSERT(text.substr(0, out.size()) == out);
      for (const std::string& stop : stops) RC_ASSERT(out.find(stop) == std::string::npos);
    }
  }));
}

}  // namespace
}  // namespace tenon
