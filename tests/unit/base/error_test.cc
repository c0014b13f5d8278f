#include "core/base/error.h"

#include <gtest/gtest.h>

namespace tenon {
namespace {

TEST(Error, ComesBackFromItsText) {
  const Error whole{.code = Code::kInternal,
                    .id = "TENON-X001",
                    .message = "a message",
                    .where = "file.gguf@24",
                    .found = "3; or 4",
                    .expected = "5: five",
                    .fix = "try again"};
  Error bare = whole, without_place = whole;
  bare.where = bare.found = bare.expected = bare.fix = "";
  without_place.where = "";
  for (const Error& error : {whole, bare, without_place}) {
    const Error back = Error::from_string(error.code, error.to_string());
    EXPECT_EQ(back.to_string(), error.to_string());
    EXPECT_EQ(back.id, error.id);
    EXPECT_EQ(back.message, error.message);
    EXPECT_EQ(back.where, error.where);
    EXPECT_EQ(back.found, error.found);
    EXPECT_EQ(back.expected, error.expected);
    EXPECT_EQ(back.fix, error.fix);
  }
}

TEST(Error, ATextThatIsNoneIsAMessage) {
  for (const char* text : {"", "no", "TENON-", "a plugin; found nothing"}) {
    const Error error = Error::from_string(Code::kInternal, text);
    EXPECT_EQ(error.message, text);
    EXPECT_EQ(error.id, "");
  }
}

}  // namespace
}  // namespace tenon
