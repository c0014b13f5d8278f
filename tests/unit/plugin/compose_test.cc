#include "core/plugin/compose.h"

#include "core/plugin/verdict_text.h"
#include "tests/unit/plugin/fixtures.h"

namespace tenon {
namespace {

Error error_of(const std::string& role, const PluginDescriptor& descriptor) {
  const ResolvedParams params;
  const auto contract = compose_one({role, &descriptor, &params, "m:" + role});
  return contract.ok() ? Error{} : contract.error();
}

PluginDescriptor cache(const std::string& more) {
  return made(descriptor_text(more, "test.cache", "cache"));
}

TEST(Compose, KindMustFitTheRole) {
  const Error error = error_of("scheduler", cache(""));
  EXPECT_EQ(error.id, "TENON-P030");
  EXPECT_EQ(error.expected, "kind scheduler");
}

TEST(Compose, HostMustSpeakTheInterfaceAndHaveTheServices) {
  PluginDescriptor future = cache("");
  future.interfaces = {"tenon.cache/9"};
  EXPECT_EQ(error_of("cache", future).id, "TENON-P033");
  EXPECT_EQ(error_of("cache", cache("interfaces: \"tenon.cache/9\"")).id, "");
  EXPECT_EQ(error_of("cache", cache("services: \"tenon.oracle/1\"")).id, "TENON-P034");
}

Contract contract(const std::string& id, const std::string& kind) {
  return {.role = kind, .kind = kind, .id = id, .version = "1.0.0"};
}

TEST(Judge, EveryPairIsLookedUp) {
  const std::vector<Contract> parts = {contract("a.a", "model"), contract("b.b", "backend"),
                                       contract("c.c", "cache")};
  CompatibilityRecord record;
  record.pairs = {{{"a.a 1.0.0", "b.b 1.0.0"}, {true, "x"}},
                  {{"a.a 1.0.0", "c.c 1.0.0"}, {true, "x"}}};
  Verdict verdict = judge(parts, {}, record);
  EXPECT_EQ(verdict.standing(), Standing::kUntested);
  ASSERT_EQ(verdict.untested.size(), 1u);
  EXPECT_EQ(verdict.untested[0].a, 1u);
  EXPECT_EQ(verdict.untested[0].b, 2u);
  const Error error = untested_error(parts, verdict, "m.textproto");
  EXPECT_EQ(error.id, "TENON-P066");
  EXPECT_EQ(error.found, "b.b 1.0.0 with c.c 1.0.0");

  record.pairs[{"b.b 1.0.0", "c.c 1.0.0"}] = {false, "the matrix"};
  verdict = judge(parts, {}, record);
  ASSERT_EQ(verdict.conflicts.size(), 1u);
  EXPECT_EQ(verdict.conflicts[0].parts, (std::vector<std::size_t>{1, 2}));
  const Error failed = conflict_error(parts, verdict, {});
  EXPECT_EQ(failed.id, "TENON-P065");
  EXPECT_NE(failed.message.find("the matrix"), std::string::npos);
}

}  // namespace
}  // namespace tenon
