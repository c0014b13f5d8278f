// The manifests that are shipped are read, and what explains the schema names all of it.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <set>

#include "core/manifest/manifest.h"

namespace tenon {
namespace {

const std::string kRoot = TENON_SOURCE_DIR;

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(ShippedManifests, AreRead) {
  for (const char* name :
       {"default", "every-parameter", "lora", "sarathi", "sarathi-serve", "tp"}) {
    const auto result = load_manifest(kRoot + "/apps/manifests/" + name + ".textproto");
    EXPECT_TRUE(result.ok()) << result.error().to_string();
  }
}

TEST(ShippedManifests, EveryFieldIsExplained) {
  const std::string schema = read_text(kRoot + "/core/manifest/manifest.proto");
  const std::regex field(R"((\w+) = \d+;)");
  const std::string example = read_text(kRoot + "/apps/manifests/every-parameter.textproto");
  const std::string page = read_text(kRoot + "/docs/use/manifests.md");
  std::size_t fields = 0;
  for (std::sregex_iterator at(schema.begin(), schema.end(), field), end; at != end; ++at) {
    const std::regex word("\\b" + (*at)[1].str() + "\\b");
    EXPECT_TRUE(std::regex_search(page, word)) << "docs/use/manifests.md: " << (*at)[1];
    // One value of a parameter stands for its four types.
    if ((*at)[1].length() > 1) {
      EXPECT_TRUE(std::regex_search(example, word)) << "every-parameter: " << (*at)[1];
    }
    ++fields;
  }
  EXPECT_GE(fields, 35u);
}

TEST(ShippedManifests, EveryErrorIsExplained) {
  const std::string page = read_text(kRoot + "/docs/use/manifests.md");
  const std::regex id(R"(TENON-(M\d\d\d))");
  std::set<std::string> ids;
  for (const char* file : {"check.cc", "json.cc", "parse.cc"}) {
    const std::string source = read_text(kRoot + "/core/manifest/" + file);
    for (std::sregex_iterator at(source.begin(), source.end(), id), end; at != end; ++at)
      ids.insert((*at)[1]);
  }
  EXPECT_GE(ids.size(), 14u);
  for (const std::string& each : ids) EXPECT_NE(page.find(each), std::string::npos) << each;
}

}  // namespace
}  // namespace tenon
