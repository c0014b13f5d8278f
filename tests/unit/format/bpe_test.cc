#include "core/format/bpe.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>

namespace tenon {
namespace {

// The definition, said slowly: the lowest rank first, the leftmost of equals.
std::vector<std::int32_t> merge_slowly(const MergeTable& merges, std::vector<std::int32_t> in) {
  for (;;) {
    std::size_t best = in.size();
    const MergeTable::Merge* chosen = nullptr;
    for (std::size_t i = 0; i + 1 < in.size(); ++i) {
      const MergeTable::Merge* found = merges.find(in[i], in[i + 1]);
      if (found && (!chosen || found->rank < chosen->rank)) {
        best = i;
        chosen = found;
      }
    }
    if (!chosen) return in;
    in[best] = chosen->token;
    in.erase(in.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(Bpe, ScanAndQueueEqualTheDefinition) {
  EXPECT_TRUE(rc::check("scan == queue == definition", [] {
    // Ranks in any order, also ones that no training would give.
    const auto rules = *rc::gen::container<std::vector<std::pair<int, int>>>(
        rc::gen::pair(rc::gen::inRange(0, 6), rc::gen::inRange(0, 6)));
    MergeTable merges;
    merges.reserve(rules.size());
    std::uint32_t rank = 0;
    for (const auto& [left, right] : rules)
      merges.insert(left, right, {rank++, (left * 7 + right) % 6});
    auto symbols = *rc::gen::container<std::vector<std::int32_t>>(rc::gen::inRange(0, 6));
    if (*rc::gen::arbitrary<bool>())
      for (int i = 0; i < 2; ++i) symbols.insert(symbols.end(), symbols.begin(), symbols.end());
    const std::vector<std::int32_t> expected = merge_slowly(merges, symbols);
    BpeMerger merger(merges);
    std::vector<std::int32_t> scan = symbols, queue = symbols;
    merger.merge_by_scan(scan);
    merger.merge_by_queue(queue);
    RC_ASSERT(scan == expected);
    RC_ASSERT(queue == expected);
  }));
}

TEST(Bpe, TablesKeepTheFirst) {
  const std::string bytes = "abab";
  const std::vector<std::uint32_t> offsets = {0, 2, 4};
  TokenTable tokens;
  EXPECT_EQ(tokens.find("ab"), -1);
  tokens.reserve(2, {bytes.data(), offsets.data()});
  const std::int32_t ids[] = {0, 1};
  tokens.insert(ids);
  EXPECT_EQ(tokens.find("ab"), 0);
  EXPECT_EQ(tokens.find("a"), -1);
  const std::string_view texts[] = {"ab", "", "ab", "ba"};
  std::int32_t found[4];
  tokens.find(texts, found);
  EXPECT_EQ(std::vector(found, found + 4), (std::vector<std::int32_t>{0, -1, 0, -1}));
  MergeTable merges;
  EXPECT_EQ(merges.find(0, 1), nullptr);
  merges.reserve(2);
  EXPECT_TRUE(merges.insert(0, 1, {5, 2}));
  EXPECT_FALSE(merges.insert(0, 1, {6, 3}));
  EXPECT_EQ(merges.find(0, 1)->rank, 5u);
  EXPECT_EQ(merges.find(1, 0), nullptr);
}

}  // namespace
}  // namespace tenon
