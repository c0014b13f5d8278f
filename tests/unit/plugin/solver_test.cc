#include "core/plugin/solver.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <bit>
#include <set>

#include "core/plugin/verdict_text.h"
#include "core/plugin/vocabulary.h"

namespace tenon {
namespace {

using Parts = std::vector<std::size_t>;

ContractClaim claim(ClaimField field, const std::string& text) {
  return {.field = field, .claim = parse_claim(text, {}, "test").value(), .reason = "slow"};
}

Contract part(const std::string& kind,
              const std::vector<std::pair<ClaimField, std::string>>& claims) {
  Contract out{.role = kind, .kind = kind, .id = "test." + kind, .version = "1.0.0"};
  for (const auto& [field, text] : claims) out.claims.push_back(claim(field, text));
  return out;
}

constexpr auto kGives = ClaimField::kProvides, kNeeds = ClaimField::kRequires,
               kBars = ClaimField::kConflicts;

std::vector<Parts> sets_of(const Verdict& verdict) {
  std::vector<Parts> out;
  for (const Conflict& conflict : verdict.conflicts) out.push_back(conflict.parts);
  return out;
}

std::vector<Parts> sets(const std::vector<Contract>& contracts, const CoreOffer& core = {}) {
  return sets_of(solve(contracts, core));
}

TEST(Solver, ARequirementIsMetByAnotherPluginOrTheCore) {
  const Contract cache = part("cache", {{kNeeds, "kv.restore"}});
  EXPECT_TRUE(sets({part("attention", {{kGives, "kv.restore=token"}}), cache}).empty());
  EXPECT_EQ(sets({part("attention", {}), part("backend", {}), cache}),
            (std::vector<Parts>{{0, 2}}));
  const Contract adapter = part("adapter", {{kNeeds, "adapter.in-key"}});
  EXPECT_TRUE(sets({adapter}, {{.token = "adapter.in-key"}}).empty());
  EXPECT_EQ(sets({adapter}), (std::vector<Parts>{{0}}));
  EXPECT_EQ(sets({part("adapter", {{kNeeds, "norm.owner"}, {kGives, "norm.owner"}})}),
            (std::vector<Parts>{{0}}));  // not by itself
}

TEST(Solver, AnAbsentRoleIsNamed) {
  const std::vector<Contract> parts = {part("parallelism", {{kNeeds, "comm.ranks"}})};
  const Verdict verdict = solve(parts, {});
  ASSERT_EQ(verdict.conflicts.size(), 1u);
  EXPECT_EQ(verdict.conflicts[0].causes[0].absent, std::vector<std::string>{"comm"});
  const Error error = conflict_error(parts, verdict, {});
  EXPECT_EQ(error.id, "TENON-P031");
  EXPECT_NE(error.found.find("no comm"), std::string::npos);
}

TEST(Solver, AValueExcludesEveryOther) {
  const Contract raw = part("cache", {{kNeeds, "k.rotation=raw"}});
  EXPECT_TRUE(sets({part("attention", {{kGives, "k.rotation=raw"}}), raw}).empty());
  const std::vector<Contract> bad = {part("attention", {{kGives, "k.rotation=rotated"}}), raw};
  EXPECT_EQ(sets(bad), (std::vector<Parts>{{0, 1}}));
  EXPECT_EQ(conflict_error(bad, solve(bad, {}), {}).id, "TENON-P064");
  // A backend can merge, this attention cannot: the requirement sees both.
  EXPECT_EQ(sets({part("backend", {{kGives, "attn.lse=yes"}}),
                  part("attention", {{kGives, "attn.lse=no"}}),
                  part("parallelism", {{kNeeds, "attn.lse=yes"}})}),
            (std::vector<Parts>{{1, 2}}));
  // The core's value is a default.
  const CoreOffer core = {{.token = "residual.full", .values = {"yes"}}};
  const Contract port = part("adapter", {{kNeeds, "residual.full=yes"}});
  EXPECT_TRUE(sets({port}, core).empty());
  EXPECT_EQ(sets({port, part("parallelism", {{kGives, "residual.full=no"}})}, core),
            (std::vector<Parts>{{0, 1}}));
}

TEST(Solver, NeedsThatNothingCouldMeetAreAConflictOfThoseWhoNeed) {
  // Whatever attention is chosen: these two caches want different keys.
  const std::vector<Contract> parts = {part("cache", {{kNeeds, "k.rotation=raw"}}),
                                       part("cache", {{kNeeds, "k.rotation=rotated"}}),
                                       part("attention", {{kGives, "k.rotation=raw"}})};
  EXPECT_EQ(sets(parts), (std::vector<Parts>{{0, 1}, {1, 2}}));
  // One wants whole prompts, one excludes who runs them.
  EXPECT_EQ(
      sets({part("attention", {{kNeeds, "prompt.whole"}}), part("cache", {{kBars, "prompt.whole"}}),
            part("scheduler", {{kGives, "prompt.whole"}})}),
      (std::vector<Parts>{{0, 1}, {1, 2}}));
}

TEST(Solver, OneOwnerAndExclusionArePairs) {
  const Contract owner = part("scheduler", {{kGives, "prefill.axis=tokens"}});
  EXPECT_EQ(sets({owner, part("attention", {{kGives, "prefill.axis=layers"}})}),
            (std::vector<Parts>{{0, 1}}));
  const std::vector<Contract> twice = {
      part("cache", {{kBars, "seq.zigzag"}}), part("parallelism", {{kGives, "seq.zigzag"}}),
      part("adapter", {{kGives, "norm.owner"}}), part("parallelism", {{kGives, "norm.owner"}})};
  EXPECT_EQ(sets(twice), (std::vector<Parts>{{0, 1}, {2, 3}}));
  const Error error = conflict_error(twice, solve(twice, {}), {});
  EXPECT_EQ(error.id, "TENON-P032");
  EXPECT_NE(error.fix.find("1 more conflict"), std::string::npos);
}

TEST(Solver, AConditionThatDoesNotHoldSaysNothing) {
  Contract cache = part("cache", {{kNeeds, "kv.restore"}});
  cache.claims[0].holds = false;
  EXPECT_TRUE(sets({cache}).empty());
}

TEST(Solver, WishesDegrade) {
  const Contract wish = part("parallelism", {{ClaimField::kPrefers, "rows.split"},
                                             {ClaimField::kAvoids, "weights.per-request"}});
  Verdict verdict = solve(std::vector{part("scheduler", {{kGives, "rows.split"}}), wish}, {});
  EXPECT_EQ(verdict.standing(), Standing::kOk);
  verdict = solve(
      std::vector{part("scheduler", {}), wish, part("adapter", {{kGives, "weights.per-request"}})},
      {});
  EXPECT_EQ(verdict.standing(), Standing::kDegraded);
  ASSERT_EQ(verdict.degraded.size(), 2u);
  EXPECT_EQ(verdict.degraded[0].reason, "slow");
  EXPECT_EQ(verdict.degraded[0].because, "nothing here provides rows.split");
  EXPECT_NE(verdict.degraded[1].because.find("test.adapter"), std::string::npos);
}

// The definition of solver.h, literally: is there a choice for the free places that works?
class Force {
 public:
  Force(const std::vector<Contract>& contracts, const CoreOffer& core)
      : contracts_(contracts), core_(core) {}

  std::vector<Parts> minimal_conflicts() const {
    std::vector<std::uint32_t> found;
    const std::uint32_t all = 1u << contracts_.size();
    std::vector<std::uint32_t> order(all);
    for (std::uint32_t set = 0; set < all; ++set) order[set] = set;
    std::stable_sort(order.begin(), order.end(), [](std::uint32_t a, std::uint32_t b) {
      return std::popcount(a) < std::popcount(b);
    });
    for (const std::uint32_t set : order)
      if (std::none_of(found.begin(), found.end(),
                       [&](std::uint32_t less) { return (less & set) == less; }) &&
          stuck(set))
        found.push_back(set);
    std::vector<Parts> out;
    for (const std::uint32_t set : found) {
      Parts& parts = out.emplace_back();
      for (std::size_t i = 0; i < contracts_.size(); ++i)
        if (set >> i & 1) parts.push_back(i);
    }
    std::sort(out.begin(), out.end());
    return out;
  }

 private:
  bool stuck(std::uint32_t set) const {
    return std::any_of(vocabulary().begin(), vocabulary().end(), [&](const VocabularyToken& token) {
      std::vector<std::string> fills = {"nobody"};
      for (std::size_t i = 0; i < contracts_.size(); ++i)
        if (!(set >> i & 1) && token.may_provide(contracts_[i].kind)) {
          for (const std::string_view value : token.values)
            if (!value.empty()) fills.emplace_back(value);
          if (token.values.front().empty()) fills.emplace_back("");
          break;
        }
      return std::none_of(fills.begin(), fills.end(),
                          [&](const std::string& fill) { return works(set, token, fill); });
    });
  }

  static bool listed(const std::vector<std::string>& values, const std::string& value) {
    return values.empty() || std::find(values.begin(), values.end(), value) != values.end();
  }

  // Values given by members but one, and by the free places.
  std::vector<std::string> given(std::uint32_t set, std::size_t but, const VocabularyToken& token,
                                 const std::string& fill) const {
    std::vector<std::string> out;
    if (fill != "nobody") out.push_back(fill);
    for (std::size_t i = 0; i < contracts_.size(); ++i)
      if ((set >> i & 1) && i != but)
        for (const ContractClaim& each : contracts_[i].claims)
          if (each.field == kGives && each.claim.token == token.name)
            out.push_back(each.claim.values.empty() ? "" : each.claim.values[0]);
    return out;
  }

  bool works(std::uint32_t set, const VocabularyToken& token, const std::string& fill) const {
    if (token.one_owner && given(set, contracts_.size(), token, fill).size() > 1) return false;
    for (std::size_t i = 0; i < contracts_.size(); ++i) {
      if (!(set >> i & 1)) continue;
      const std::vector<std::string> others = given(set, i, token, fill);
      for (const ContractClaim& each : contracts_[i].claims) {
        if (each.claim.token != token.name) continue;
        const auto fits = [&](const std::string& value) {
          return listed(each.claim.values, value);
        };
        if (each.field == kBars && std::any_of(others.begin(), others.end(), fits)) return false;
        if (each.field != kNeeds) continue;
        if (!std::all_of(others.begin(), others.end(), fits)) return false;
        for (const ContractClaim& own : contracts_[i].claims)
          if (own.field == kGives && own.claim.token == token.name && !own.claim.values.empty() &&
              !fits(own.claim.values[0]))
            return false;
        const bool core = std::any_of(core_.begin(), core_.end(), [&](const Claim& offer) {
          return offer.token == token.name && (offer.values.empty() || fits(offer.values[0]));
        });
        if (others.empty() && !core) return false;
      }
    }
    return true;
  }

  const std::vector<Contract>& contracts_;
  const CoreOffer& core_;
};

// Few tokens, so that claims meet; every kind may say anything but provide what it cannot.
Contract random_part() {
  static const std::vector<std::string> kKinds = {"model", "backend", "attention",   "scheduler",
                                                  "cache", "adapter", "parallelism", "comm"};
  static const std::vector<std::string> kTokens = {"kv.restore",   "k.rotation",    "attn.lse",
                                                   "prefill.axis", "prompt.whole",  "norm.owner",
                                                   "comm.ranks",   "residual.full", "kv.per-token"};
  Contract out = part(*rc::gen::elementOf(kKinds), {});
  for (int claims = *rc::gen::inRange(0, 5); claims > 0; --claims) {
    const VocabularyToken& token = *find_token(*rc::gen::elementOf(kTokens));
    ContractClaim added{.field = *rc::gen::element(kGives, kNeeds, kBars),
                        .claim = {.token = std::string(token.name)}};
    std::vector<std::string> values;
    for (const std::string_view value : token.values)
      if (!value.empty()) values.emplace_back(value);
    const bool gives = added.field == kGives;
    const bool twice =
        std::any_of(out.claims.begin(), out.claims.end(), [&](const ContractClaim& other) {
          return other.field == kGives && other.claim.token == token.name;
        });
    if (gives && (twice || !token.may_provide(out.kind))) continue;
    if (gives && !values.empty()) added.claim.values = {*rc::gen::elementOf(values)};
    if (!gives && !values.empty())
      for (const std::string& value : values)
        if (*rc::gen::inRange(0, 3) == 0) added.claim.values.push_back(value);
    out.claims.push_back(std::move(added));
  }
  return out;
}

RC_GTEST_PROP(SolverProperty, FindsExactlyTheMinimalConflicts, ()) {
  // rapidcheck begins small; half of the cases have the full size.
  const int most = *rc::gen::arbitrary<bool>() ? 10 : 4;
  std::vector<Contract> contracts;
  for (int parts = 0; parts < most; ++parts) contracts.push_back(random_part());
  CoreOffer core;
  if (*rc::gen::arbitrary<bool>()) core.push_back({.token = "residual.full", .values = {"yes"}});
  if (*rc::gen::arbitrary<bool>()) core.push_back({.token = "attn.lse", .values = {"no"}});
  std::vector<Parts> found = sets(contracts, core);
  std::sort(found.begin(), found.end());
  RC_ASSERT(found == Force(contracts, core).minimal_conflicts());
}

}  // namespace
}  // namespace tenon
