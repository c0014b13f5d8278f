#include "core/manifest/version.h"

#include <gtest/gtest.h>

namespace tenon {
namespace {

bool accepts(const char* range, const char* version) {
  return parse_version_range(range)->contains(*parse_version(version));
}

TEST(Version, PartsLeftOutAreZero) {
  EXPECT_EQ(parse_version("1"), (Version{1, 0, 0}));
  EXPECT_EQ(parse_version("1.2"), (Version{1, 2, 0}));
  EXPECT_EQ(parse_version("1.2.3"), (Version{1, 2, 3}));
  EXPECT_LT(*parse_version("1.9.9"), *parse_version("1.10"));
}

TEST(Version, WhatIsNoVersionIsRefused) {
  for (const char* text : {"", ".", "1.", "1..2", "a", "1.2.3.4", "-1", "1.2.x", "4294967296"})
    EXPECT_EQ(parse_version(text), std::nullopt) << text;
}

TEST(VersionRange, EmptyAcceptsEverything) { EXPECT_TRUE(accepts("", "7.8.9")); }

TEST(VersionRange, BareVersionAcceptsWhatItNames) {
  EXPECT_TRUE(accepts("1.2.3", "1.2.3"));
  EXPECT_FALSE(accepts("1.2.3", "1.2.4"));
  EXPECT_TRUE(accepts("1.2", "1.2.9"));
  EXPECT_FALSE(accepts("1.2", "1.3"));
  EXPECT_TRUE(accepts("1", "1.99"));
  EXPECT_FALSE(accepts("1", "2"));
}

TEST(VersionRange, ComparisonsAllHold) {
  EXPECT_TRUE(accepts(">=1.2 <2", "1.2.0"));
  EXPECT_TRUE(accepts(" >=1.2   <2 ", "1.99.7"));
  EXPECT_FALSE(accepts(">=1.2 <2", "2.0.0"));
  EXPECT_FALSE(accepts(">1.2", "1.2.0"));
  EXPECT_TRUE(accepts("<=1.2", "1.2.0"));
  EXPECT_TRUE(accepts("=1.2", "1.2.0"));
}

TEST(VersionRange, WhatIsNoRangeIsRefused) {
  for (const char* text : {"~1", ">= 1", "latest", ">=", "1.2,<2"})
    EXPECT_FALSE(parse_version_range(text)) << text;
}

}  // namespace
}  // namespace tenon
