#include "core/plugin/catalog.h"

#include <filesystem>

#include "core/plugin/assembly.h"
#include "tests/unit/plugin/fixtures.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;

std::string refusal(const Result<const PluginFile*>& result) {
  return result.ok() ? "" : result.error().id;
}

TEST(Catalog, BrokenFilesDoNotHideTheOthers) {
  PluginCatalog catalog;
  ASSERT_TRUE(catalog.add_directory(kFixtures).ok());
  EXPECT_TRUE(catalog.find("fixture.scheduler.whole").ok());
  EXPECT_GE(catalog.broken().size(), 10u);
  for (const BrokenPlugin& broken : catalog.broken())
    EXPECT_NE(broken.path.find("/bad_"), std::string::npos) << broken.error.to_string();
}

TEST(Catalog, FindsTheNewestThatFits) {
  PluginCatalog catalog;
  ASSERT_TRUE(catalog.add_directory(kFixtures).ok());
  EXPECT_EQ(catalog.find("fixture.scheduler.good").value()->descriptor.version, "1.2.0");
  EXPECT_EQ(catalog.find("fixture.scheduler.good", "<1.2").value()->descriptor.version, "1.0.0");
  EXPECT_EQ(refusal(catalog.find("fixture.scheduler.good", ">=2")), "TENON-P021");
}

TEST(Catalog, UnknownIdNamesTheNearestAndWhereItLooked) {
  PluginCatalog catalog;
  ASSERT_TRUE(catalog.add_directory(kFixtures).ok());
  const Result<const PluginFile*> result = catalog.find("fixture.scheduler.whol", "", "m:1:1");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().id, "TENON-P020");
  EXPECT_EQ(result.error().where, "m:1:1");
  EXPECT_NE(result.error().fix.find("fixture.scheduler.whole"), std::string::npos);
  EXPECT_NE(result.error().found.find(kFixtures), std::string::npos);
  EXPECT_NE(result.error().found.find("broken"), std::string::npos);
}

TEST(Catalog, MissingDirectoryIsANamedError) {
  PluginCatalog catalog;
  const Status status = catalog.add_directory("/nonexistent");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().id, "TENON-P023");
}

TEST(Catalog, CopiesAreOnePluginAndRivalsAreRefused) {
  const fs::path folder = fs::path(testing::TempDir()) / "catalog_copies";
  fs::remove_all(folder);
  fs::create_directories(folder);
  fs::copy_file(fixture("cache"), folder / "a.so");
  fs::copy_file(fixture("cache"), folder / "b.so");
  PluginCatalog catalog;
  ASSERT_TRUE(catalog.add_directory(folder.string()).ok());
  EXPECT_EQ(catalog.files().size(), 1u);
  std::ofstream(folder / "c.so", std::ios::binary) << read_text(fixture("cache")) << '\0';
  PluginCatalog rivals;
  ASSERT_TRUE(rivals.add_directory(folder.string()).ok());
  EXPECT_EQ(refusal(rivals.find("fixture.cache.good")), "TENON-P022");
}

TEST(Catalog, BuiltInsAreFoundLikeFiles) {
  PluginCatalog catalog;
  const PluginEntry entry = []() -> const tenon_plugin_v1* { return nullptr; };
  ASSERT_TRUE(catalog.add_builtin(descriptor_text(), entry).ok());
  const Result<const PluginFile*> found = catalog.find("test.scheduler.one");
  ASSERT_TRUE(found.ok());
  EXPECT_TRUE(found.value()->path.empty());
  EXPECT_EQ(found.value()->sha256.size(), 64u);
  EXPECT_FALSE(catalog.add_builtin("id: \"x\"", entry).ok());
}

class Pinned : public testing::Test {
 protected:
  // A manifest that pins the scheduler's library.
  std::string refusal_of(const std::string& plugin, const std::string& library) {
    const std::string text =
        "model { name: \"m\" } network { plugin: \"fixture.model.good\" }"
        "backend { plugin: \"fixture.backend.good\" param { key: \"path\" s: \"x\" } }"
        "attention { plugin: \"fixture.attention.good\" }"
        "scheduler { plugin: \"" +
        plugin + "\" library { " + library + " } }";
    const Result<Manifest> manifest = parse_manifest(text, kFixtures + "/m.textproto");
    if (!manifest.ok()) return manifest.error().to_string();
    PluginCatalog catalog(host_);
    if (!catalog.add_directory(kFixtures).ok()) return "no fixtures";
    const Result<std::vector<ChosenPlugin>> chosen = choose_plugins(*manifest, catalog);
    version_ = chosen.ok() ? chosen.value()[3].file->descriptor.version : "";
    return chosen.ok() ? "" : chosen.error().id;
  }
  HostConfig host_;
  std::string version_;
};

TEST_F(Pinned, PathIsRelativeToTheManifestAndWinsOverNewer) {
  EXPECT_EQ(refusal_of("fixture.scheduler.good", "path: \"scheduler.so\""), "");
  EXPECT_EQ(version_, "1.0.0");
}

TEST_F(Pinned, AHostMayWantPins) {
  host_.require_pins = true;
  EXPECT_EQ(refusal_of("fixture.scheduler.good", "path: \"scheduler.so\""), "TENON-P026");
}

TEST_F(Pinned, RefusalsAreNamed) {
  EXPECT_EQ(refusal_of("fixture.scheduler.good", "path: \"none.so\""), "TENON-P001");
  EXPECT_EQ(refusal_of("fixture.scheduler.whole", "path: \"scheduler.so\""), "TENON-P025");
  const std::string other(64, '0');
  EXPECT_EQ(
      refusal_of("fixture.scheduler.good", "path: \"scheduler.so\" sha256: \"" + other + "\""),
      "TENON-P024");
}

}  // namespace
}  // namespace tenon
