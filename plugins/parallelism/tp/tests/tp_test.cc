// T-TP.1 places that make up the model; refusals that say which rank counts work. What ranks
// compute: tests/unit/load/ranks_test.cc.
#include <gtest/gtest.h>

#include <numeric>

#include "core/load/model_loader.h"
#include "tests/fixtures/open_plugin.h"

namespace tenon {
namespace {

// tp asks for services when it is made, which OpenPlugin does not have: a table of each will do,
// as place() calls none.
class Tp {
 public:
  Status place(const tenon_split_units& units, std::uint32_t ranks,
               std::vector<tenon_rank_share>& shares) {
    static const tenon_ops_v1 ops{};
    static const tenon_ranks_v1 peers{};
    const OpenPlugin plugin("tenon.parallelism.tp", {},
                            {{TENON_OPS_ID, &ops}, {TENON_RANKS_ID, &peers}});
    const auto tp = plugin.as<iface::Parallelism, tenon_parallelism_v1>(TENON_PARALLELISM_ID);
    shares.resize(ranks);
    TENON_TRY(tp.place(&units, ranks, shares.data()));
    return check_shares(units, shares, "tp");
  }
};

TEST(Tp, SharesMakeUpTheModel) {
  std::vector<tenon_rank_share> shares;
  const tenon_split_units smollm{9, 3, 1536, 32}, gemma{4, 1, 2048, 32}, wide{32, 8, 14336, 32};
  for (const auto& [units, ranks] :
       std::vector<std::pair<tenon_split_units, std::uint32_t>>{{smollm, 1},
                                                                {smollm, 3},
                                                                {gemma, 2},
                                                                {gemma, 4},
                                                                {wide, 2},
                                                                {wide, 8},
                                                                {wide, 16},
                                                                {wide, 32}}) {
    const Status status = Tp().place(units, ranks, shares);
    EXPECT_TRUE(status.ok()) << ranks << ": " << status.error().to_string();
  }
  ASSERT_TRUE(Tp().place(gemma, 4, shares).ok());
  for (const tenon_rank_share& share : shares) {
    EXPECT_EQ(share.q_count, 1);
    EXPECT_EQ(share.kv_begin, 0);  // every rank holds the one key-value head
    EXPECT_EQ(share.kv_count, 1);
  }
}

TEST(Tp, AFeedForwardThatDoesNotDivideIsCutUnevenly) {
  std::vector<tenon_rank_share> shares;
  ASSERT_TRUE(Tp().place({3, 3, 160, 32}, 3, shares).ok());
  EXPECT_EQ(shares[0].feed_forward_count, 32);
  EXPECT_EQ(shares[1].feed_forward_count, 64);
  EXPECT_EQ(shares[2].feed_forward_count, 64);
}

TEST(Tp, ARefusalSaysWhichRankCountsWork) {
  std::vector<tenon_rank_share> shares;
  const auto refusal = [&](const tenon_split_units& units, std::uint32_t ranks) {
    const Status status = Tp().place(units, ranks, shares);
    return status.ok() ? "" : status.error().message;
  };
  EXPECT_NE(refusal({9, 3, 1536, 32}, 2).find("rank counts that work: 1, 3, 9"), std::string::npos);
  EXPECT_NE(refusal({4, 1, 2048, 32}, 3).find("rank counts that work: 1, 2, 4"), std::string::npos);
  EXPECT_NE(refusal({6, 4, 2048, 32}, 3).find("rank counts that work: 1, 2"), std::string::npos);
  EXPECT_NE(refusal({4, 4, 64, 32}, 4).find("rank counts that work: 1, 2"), std::string::npos);
}

}  // namespace
}  // namespace tenon
