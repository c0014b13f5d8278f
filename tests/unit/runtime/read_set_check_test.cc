#include "core/runtime/read_set_check.h"

#include <gtest/gtest.h>

#include <vector>

namespace tenon {
namespace {

// One sequence of 200 tokens on pages 7, 3, 9, 4; its last 70 are this step's.
struct Case {
  std::vector<std::uint32_t> pages = {7, 3, 9, 4};
  std::vector<std::int32_t> index;
  std::int32_t n_pages = 4, n_sequences = 1;
  bool null_pages = false, null_sequences = false;
  std::int32_t window = 0, first_page = 0, first_index = 0;

  std::string check() {
    const std::uint32_t own[] = {7, 3, 9, 4};
    const tenon_sequence_rows rows{0, 70, 130, 4, own, first_page, 0};
    const tenon_attention_batch batch{{sizeof batch, 0, nullptr}, &rows, 1, 70};
    const tenon_read_pages read{null_pages ? nullptr : pages.data(),
                                index.empty() ? nullptr : index.data(), n_pages, first_index};
    const Status status = check_read_set(
        batch,
        {{sizeof(tenon_read_set), 0, nullptr}, null_sequences ? nullptr : &read, n_sequences, 0}, 5,
        window);
    return status.ok() ? "" : status.error().id;
  }
};

TEST(ReadSetCheck, AllPagesOrAscendingSomeOfThem) {
  EXPECT_EQ(Case{}.check(), "");
  EXPECT_EQ((Case{.pages = {7, 9, 4}, .index = {0, 2, 3}, .n_pages = 3}.check()), "");
  EXPECT_EQ((Case{.pages = {9}, .index = {2}, .n_pages = 1}.check()), "");
}

TEST(ReadSetCheck, AWindowsReadSetHasTheRowsOwnPages) {
  EXPECT_EQ((Case{.pages = {3, 9, 4}, .n_pages = 3, .window = 100, .first_index = 1}.check()), "");
  EXPECT_EQ(
      (Case{.pages = {9, 4}, .n_pages = 2, .window = 2, .first_page = 2, .first_index = 2}.check()),
      "");
  // Page 2 holds the first row, page 1 has left the window.
  EXPECT_EQ((Case{.pages = {3, 4}, .index = {1, 3}, .n_pages = 2, .window = 100}.check()),
            "TENON-R027");
  EXPECT_EQ((Case{.pages = {3, 9}, .n_pages = 2, .window = 100, .first_index = 1}.check()),
            "TENON-R027");
  EXPECT_EQ((Case{.pages = {3, 9, 4}, .n_pages = 3, .window = 70, .first_page = 2, .first_index = 1}
                 .check()),
            "TENON-R027");
}

TEST(ReadSetCheck, WhatIsNotTheSequencesIsRefused) {
  EXPECT_EQ(Case{.null_sequences = true}.check(), "TENON-R027");
  EXPECT_EQ(Case{.n_sequences = 2}.check(), "TENON-R027");
  EXPECT_EQ(Case{.null_pages = true}.check(), "TENON-R027");
  EXPECT_EQ(Case{.n_pages = 0}.check(), "TENON-R027");
  EXPECT_EQ(Case{.n_pages = 5}.check(), "TENON-R027");
  EXPECT_EQ((Case{.pages = {7, 3, 9, 4000000}}.check()), "TENON-R027");
  EXPECT_EQ((Case{.pages = {7, 3}, .index = {1, 0}, .n_pages = 2}.check()), "TENON-R027");
  EXPECT_EQ((Case{.pages = {7}, .index = {-1}, .n_pages = 1}.check()), "TENON-R027");
  EXPECT_EQ((Case{.pages = {7}, .index = {4}, .n_pages = 1}.check()), "TENON-R027");
  EXPECT_EQ((Case{.pages = {4}, .index = {3}, .n_pages = 1}.check()),
            "TENON-R027");  // row 130 reads nothing
}

}  // namespace
}  // namespace tenon
