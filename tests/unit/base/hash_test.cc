#include "core/base/hash.h"

#include <gtest/gtest.h>

#include "core/base/checked.h"

namespace tenon {
namespace {

TEST(Hash, Sha256MatchesTheStandardsVector) {
  const std::string_view text = "abc";
  EXPECT_EQ(sha256_hex(std::as_bytes(std::span(text.data(), text.size()))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Hash, ChainDependsOnWhatCameBefore) {
  const Hash128 a = hash_text("a"), b = hash_text("b");
  EXPECT_NE(hash_text("x", a), hash_text("x", b));
  EXPECT_EQ(hash_text("x", a), hash_text("x", a));
}

TEST(Hash, MissingFileIsANamedError) {
  const Result<std::string> result = sha256_file("/nonexistent/file");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().id, "TENON-B001");
  EXPECT_EQ(result.error().where, "/nonexistent/file");
}

TEST(Checked, ReportsOverflow) {
  EXPECT_EQ(checked_mul<std::uint64_t>(1ull << 40, 1ull << 30), std::nullopt);
  EXPECT_EQ(checked_mul<std::uint64_t>(6, 7), 42u);
  EXPECT_EQ(checked_add<std::uint64_t>(~0ull, 1), std::nullopt);
  EXPECT_EQ(checked_add<int>(40, 2), 42);
}

}  // namespace
}  // namespace tenon
