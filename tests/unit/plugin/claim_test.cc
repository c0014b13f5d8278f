#include "core/plugin/claim.h"

#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "core/plugin/contract.h"
#include "core/plugin/vocabulary.h"
#include "tests/unit/plugin/fixtures.h"

namespace tenon {
namespace {

const char* const kParams =
    "params { key: \"chunk\" type: INT64 default_int: 64 } "
    "params { key: \"budget\" type: INT64 default_int: 32 } "
    "params { key: \"share\" type: DOUBLE default_double: 0.5 } "
    "params { key: \"whole\" type: BOOL default_bool: true } "
    "params { key: \"order\" type: ENUM default_string: \"arrival\" values: \"arrival\" "
    "values: \"shortest-first\" } "
    "params { key: \"tag\" type: STRING default_string: \"\" } ";

PluginDescriptor with_params() { return made(descriptor_text(kParams)); }

bool true_now(const std::string& condition, std::vector<ManifestParam> given = {}) {
  const PluginDescriptor descriptor = with_params();
  const auto params = resolve_params(descriptor, given);
  const auto parsed = parse_condition(condition, descriptor.params, "test");
  EXPECT_TRUE(parsed.ok()) << (parsed.ok() ? "" : parsed.error().to_string());
  return parsed.ok() && holds(*parsed, *params);
}

std::string refusal(const std::string& condition) {
  const auto parsed = parse_condition(condition, with_params().params, "test");
  return parsed.ok() ? "" : parsed.error().id + " " + parsed.error().to_string();
}

TEST(Condition, ComparesParametersOfEachType) {
  EXPECT_TRUE(true_now("chunk == 64") && true_now("chunk!=0") && true_now("chunk > 63"));
  EXPECT_TRUE(true_now("chunk >= 64") && true_now("chunk <= 64") && !true_now("chunk < 64"));
  EXPECT_TRUE(true_now("share < 1") && true_now("share == 0.5") && !true_now("share > 0.5"));
  EXPECT_TRUE(true_now("whole") && true_now("whole == true") && !true_now("not whole"));
  EXPECT_TRUE(true_now("order == arrival") && true_now("order != shortest-first"));
  EXPECT_TRUE(true_now("chunk > budget") && true_now("share < budget"));
  EXPECT_TRUE(true_now("chunk > -1 and whole and share <= 1e3"));
  EXPECT_FALSE(true_now("chunk > 0 and not whole"));
}

TEST(Condition, LooksAtWhatTheManifestSays) {
  EXPECT_FALSE(true_now("chunk > budget", {{"chunk", std::int64_t{8}, "m:1"}}));
  EXPECT_TRUE(true_now("order == shortest-first", {{"order", std::string("shortest-first"), ""}}));
  const PluginDescriptor descriptor = with_params();
  const auto condition = parse_condition("chunk > budget and whole", descriptor.params, "test");
  EXPECT_EQ(values_text(*condition, *resolve_params(descriptor, {})),
            "chunk 64, budget 32, whole true");
}

TEST(Condition, WhatMakesNoSenseIsRefused) {
  for (const char* bad :
       {"", "chunks == 1", "chunk", "chunk ==", "chunk == x", "chunk == true", "whole == 1",
        "whole > false", "order > arrival", "order == late", "tag == x", "chunk = 1",
        "chunk == 1 and", "chunk == 1 or whole", "not chunk", "chunk == 1 2", "chunk == whole"})
    EXPECT_TRUE(refusal(bad).starts_with("TENON-P006")) << bad << ": " << refusal(bad);
  EXPECT_NE(refusal("chunks == 1").find("did you mean \"chunk\"?"), std::string::npos);
  EXPECT_TRUE(refusal(std::string(300, 'x')).starts_with("TENON-P006"));
}

TEST(ClaimText, IsATokenItsValuesAndACondition) {
  const PluginDescriptor descriptor = with_params();
  const auto claim = parse_claim("a.b=x|y-z if chunk == 64", descriptor.params, "test");
  ASSERT_TRUE(claim.ok());
  EXPECT_EQ(claim->token, "a.b");
  EXPECT_EQ(claim->values, (std::vector<std::string>{"x", "y-z"}));
  EXPECT_EQ(claim->condition->text, "chunk == 64");
  EXPECT_EQ(claim->subject(), "a.b=x|y-z");
  EXPECT_FALSE(parse_claim("a.b", descriptor.params, "test")->condition.has_value());
  for (const char* bad : {"", "=x", "a=", "a=x|", "a b", "a if", "a unless whole", "a=x y"})
    EXPECT_FALSE(parse_claim(bad, descriptor.params, "test").ok()) << bad;
}

RC_GTEST_PROP(ClaimProperty, AnyTextIsRefusedOrRead, ()) {
  const auto word = rc::gen::element<std::string>("a.b", "=", "|", " ", "if ", "chunk", "whole",
                                                  "<=", "not ", "and ", "1", "\xff", "==", "order");
  std::string text;
  for (const std::string& each : *rc::gen::container<std::vector<std::string>>(word)) text += each;
  const PluginDescriptor descriptor = with_params();
  const auto claim = parse_claim(text, descriptor.params, "x");
  const bool fine = claim.ok() || claim.error().id == "TENON-P006";
  RC_ASSERT(fine);
  if (claim.ok() && claim->condition)
    (void)holds(*claim->condition, *resolve_params(descriptor, {}));
}

TEST(DescriptorClaims, AreReadWithTheDescriptor) {
  const auto refused = [](const std::string& more) {
    const auto result = parse_descriptor_text(descriptor_text(kParams + more), "test");
    return result.ok() ? std::string() : result.error().id;
  };
  EXPECT_EQ(refused("provides: \"prompt.whole if chunk == 0\""), "");
  EXPECT_EQ(refused("provides: \"prompt.whole if chunks == 0\""), "TENON-P006");
  EXPECT_EQ(refused("provides: \"no.such-token\""), "");  // it can still be inspected
  EXPECT_EQ(refused("avoids { claim: \"prompt.whole\" reason: \"it is slow\" }"), "");
  EXPECT_EQ(refused("avoids { claim: \"prompt.whole\" }"), "TENON-P006");
  EXPECT_EQ(refused("prefers { claim: \"= x\" reason: \"it is slow\" }"), "TENON-P006");
  EXPECT_EQ(refused("rules { when: \"chunk > budget\" refuse: \"no\" }"), "");
  EXPECT_EQ(refused("rules { when: \"chunk > budget\" }"), "TENON-P006");
  EXPECT_EQ(refused("rules { when: \"chunk >\" refuse: \"no\" }"), "TENON-P006");
}

Error words_of(const std::string& claim, const std::string& kind = "attention") {
  const PluginDescriptor descriptor = made(descriptor_text(claim, "test.one", kind));
  const auto contract = make_contract(kind, descriptor, ResolvedParams(), "m:1");
  return contract.ok() ? Error{} : contract.error();
}

TEST(Words, TokensAndValuesMustExist) {
  EXPECT_EQ(words_of("provides: \"kv.restore=token\"").id, "");
  EXPECT_EQ(words_of("requires: \"kv.restore\" conflicts: \"kv.restore=page|token\"").id, "");
  const Error token = words_of("requires: \"kv.restor\"");
  EXPECT_EQ(token.id, "TENON-P061");
  EXPECT_EQ(token.where, "m:1");
  EXPECT_NE(token.fix.find("kv.restore"), std::string::npos);
  const Error value = words_of("provides: \"k.rotation=rotate\"");
  EXPECT_EQ(value.id, "TENON-P062");
  EXPECT_NE(value.fix.find("rotated"), std::string::npos);
  EXPECT_EQ(words_of("provides: \"kv.restore\"").id, "TENON-P062");
  EXPECT_EQ(words_of("provides: \"kv.restore=token|page\"").id, "TENON-P062");
  EXPECT_EQ(words_of("provides: \"kv.per-token=yes\"").id, "TENON-P062");
  EXPECT_EQ(words_of("provides: \"prompt.whole\"").id, "TENON-P063");
  EXPECT_EQ(words_of("provides: \"numerics.exact\"").id, "TENON-P063");
  EXPECT_EQ(words_of("conflicts: \"numerics.approx\"").id, "");
}

TEST(Words, ConditionsAreDecidedByTheParametersInUse) {
  const PluginDescriptor descriptor =
      made(descriptor_text(std::string(kParams) + "provides: \"prompt.whole if chunk == 0\""));
  const auto contract = make_contract("scheduler", descriptor, *resolve_params(descriptor, {}), "");
  ASSERT_EQ(contract->claims.size(), 2u);
  EXPECT_FALSE(contract->claims[0].holds);
  EXPECT_EQ(contract->claims[0].looked, "chunk 64");
  EXPECT_EQ(contract->claims[1].claim.token, "numerics.unspecified");
}

}  // namespace
}  // namespace tenon
