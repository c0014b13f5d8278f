// Each NAME.textproto or NAME.json here is read as the engine would read it, down to the choice of
// plugins, against the fixture plugins and those of the tree. NAME.expect says the outcome: `ok`,
// or `error TENON-M004`; further lines `contains: text` are parts of the error. A new case is two
// files and no code.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/plugin/assembly.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = TENON_SOURCE_DIR "/tests/manifests";

std::vector<std::string> cases() {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(kFolder)) {
    const fs::path extension = entry.path().extension();
    if (extension == ".textproto" || extension == ".json")
      out.push_back(entry.path().filename().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

// The catalog with what it refused, kept for all cases: a manifest changes it only by pinning a
// library.
PluginCatalog& catalog() {
  static PluginCatalog made = [] {
    PluginCatalog out;
    for (const char* folder : {"/fixtures/plugins", "/plugins"}) {
      const Status status = out.add_directory(std::string(TENON_BINARY_DIR) + folder);
      EXPECT_TRUE(status.ok());
    }
    return out;
  }();
  return made;
}

Status outcome(const std::string& path) {
  TENON_ASSIGN(const Manifest manifest, load_manifest(path));
  TENON_ASSIGN(const std::vector<ChosenPlugin> chosen, choose_plugins(manifest, catalog()));
  EXPECT_EQ(chosen.size(), 4 + manifest.cache.size());
  return {};
}

class Manifests : public testing::TestWithParam<std::string> {};

TEST_P(Manifests, EndAsExpected) {
  const fs::path path = kFolder / GetParam();
  const Status status = outcome(path.string());
  const std::string found = status.ok() ? "ok" : "error " + status.error().id;
  const std::string text = status.ok() ? "" : status.error().to_string();
  std::ifstream expect(fs::path(path).replace_extension(".expect"));
  std::string line;
  ASSERT_TRUE(std::getline(expect, line)) << "no .expect beside " << path;
  EXPECT_EQ(found, line) << text;
  while (std::getline(expect, line)) {
    ASSERT_TRUE(line.starts_with("contains: ")) << line;
    EXPECT_NE(text.find(line.substr(10)), std::string::npos) << line << "\nin: " << text;
  }
}

std::string case_name(const testing::TestParamInfo<std::string>& info) {
  return info.param.substr(0, info.param.find('.'));
}

INSTANTIATE_TEST_SUITE_P(, Manifests, testing::ValuesIn(cases()), case_name);

}  // namespace
}  // namespace tenon
