#include "core/plugin/remedy.h"

#include "core/plugin/assembly.h"
#include "tests/unit/plugin/fixtures.h"

namespace tenon {
namespace {

std::string plugin(const std::string& id, const std::string& kind, const std::string& more = "") {
  return descriptor_text(more, id, kind);
}

// A catalog of descriptors alone, and the verdict on a manifest of some of them.
class Remedies : public testing::Test {
 protected:
  void SetUp() override {
    for (const auto& [id, kind] : {std::pair{"t.model", "model"}, {"t.backend", "backend"}})
      ASSERT_TRUE(catalog_.add_builtin(plugin(id, kind), nullptr).ok());
  }

  std::vector<std::string> of(const std::string& more) {
    const auto manifest = parse_manifest(
        "model { name: \"m\" } network { plugin: \"t.model\" } backend { plugin: \"t.backend\" } " +
            more,
        "m");
    EXPECT_TRUE(manifest.ok()) << manifest.error().to_string();
    const auto assembly = assemble(*manifest, catalog_, {});
    EXPECT_TRUE(assembly.ok()) << assembly.error().to_string();
    EXPECT_FALSE(assembly->verdict.conflicts.empty());
    return remedies(assembly->contracts, assembly->verdict.conflicts.front(), assembly->verdict,
                    catalog_);
  }
  void add(const std::string& id, const std::string& kind, const std::string& more) {
    ASSERT_TRUE(catalog_.add_builtin(plugin(id, kind, more), nullptr).ok());
  }

  PluginCatalog catalog_;
};

using Texts = std::vector<std::string>;

TEST_F(Remedies, NameThePluginsThatWouldDo) {
  add("t.window", "attention", "");
  add("t.full", "attention", "provides: \"kv.restore=token\"");
  add("t.odd", "attention", "provides: \"kv.restore=token\" requires: \"rope.plain\"");
  add("t.fcfs", "scheduler", "");
  add("t.prefix", "cache", "requires: \"kv.restore\"");
  add("t.none", "cache", "");
  // t.odd would bring a conflict of its own.
  EXPECT_EQ(of("attention { plugin: \"t.window\" } scheduler { plugin: \"t.fcfs\" } "
               "cache { plugin: \"t.prefix\" }"),
            (Texts{"name t.full as the attention", "name t.none as the cache"}));
}

TEST_F(Remedies, SayWhichParameterDecides) {
  add("t.blocks", "attention", "requires: \"prompt.whole\"");
  add("t.fcfs", "scheduler",
      "provides: \"prompt.whole if chunk == 0\" "
      "params { key: \"chunk\" type: INT64 default_int: 64 }");
  EXPECT_EQ(of("attention { plugin: \"t.blocks\" } scheduler { plugin: \"t.fcfs\" }"),
            (Texts{"change the parameters of the scheduler: it provides prompt.whole only if "
                   "chunk == 0"}));
}

TEST_F(Remedies, AddWhatIsMissing) {
  add("t.dense", "attention", "requires: \"comm.ranks\"");
  add("t.fcfs", "scheduler", "");
  add("t.threads", "comm", "provides: \"comm.ranks\"");
  EXPECT_EQ(of("attention { plugin: \"t.dense\" } scheduler { plugin: \"t.fcfs\" }"),
            (Texts{"add a comm: t.threads"}));
}

TEST_F(Remedies, OfADeterministicEngineIsLeavingThatOut) {
  add("t.sparse", "attention", "numerics: APPROX");
  add("t.dense", "attention", "numerics: EXACT");
  add("t.fcfs", "scheduler", "numerics: EXACT");
  for (const char* id : {"t.model2", "t.backend2"})
    add(id, std::string(id).starts_with("t.model") ? "model" : "backend", "numerics: EXACT");
  const auto manifest = parse_manifest(
      "model { name: \"m\" } network { plugin: \"t.model2\" } backend { plugin: \"t.backend2\" } "
      "attention { plugin: \"t.sparse\" } scheduler { plugin: \"t.fcfs\" } "
      "engine { deterministic: true }",
      "m");
  const auto assembly = assemble(*manifest, catalog_, {});
  const Status refused = check_conflicts(*assembly, catalog_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().id, "TENON-P032");
  EXPECT_NE(refused.error().message.find("numerics.approx"), std::string::npos);
  EXPECT_NE(refused.error().fix.find("t.dense"), std::string::npos);
  EXPECT_NE(refused.error().fix.find("engine.deterministic"), std::string::npos);
}

}  // namespace
}  // namespace tenon
