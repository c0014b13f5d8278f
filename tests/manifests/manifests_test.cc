// Each NAME.textproto or NAME.json here is read as the engine would read it, down to the verdict on
// its plugins, against the fixture plugins, those of the tree and the descriptors of fixtures/,
// which speak for plugins that have no code yet. NAME.expect says the outcome: `ok`, `ok-degraded`,
// or `error TENON-M004`; further lines:
//
//   contains: text        a part of the error, or of what is degraded
//   conflict: role, role  a minimal set of roles in conflict; where there is one, all are given
//   core: token=value     something that the core does not provide yet
//
// A new case is two files and no code.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/plugin/assembly.h"
#include "core/plugin/remedy.h"
#include "core/plugin/verdict_text.h"

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

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
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
    for (const auto& entry : fs::directory_iterator(kFolder / "fixtures")) {
      const Status status = out.add_builtin(read_text(entry.path()), nullptr);
      EXPECT_TRUE(status.ok()) << entry.path() << ": " << status.error().to_string();
    }
    return out;
  }();
  return made;
}

struct Expected {
  std::string outcome;
  std::vector<std::string> parts, conflicts;
  HostOffer host = host_offer();
};

Expected read_expected(const fs::path& path) {
  Expected out;
  std::ifstream file(path);
  EXPECT_TRUE(std::getline(file, out.outcome)) << "no " << path;
  for (std::string line; std::getline(file, line);) {
    const std::string rest = line.substr(std::min(line.size(), line.find(": ") + 2));
    if (line.starts_with("contains: ")) {
      out.parts.push_back(rest);
    } else if (line.starts_with("conflict: ")) {
      out.conflicts.push_back(rest);
    } else if (line.starts_with("core: ")) {
      Claim claim = parse_claim(rest, {}, path.string()).value();
      std::erase_if(out.host.provided,
                    [&](const Claim& today) { return today.token == claim.token; });
      out.host.provided.push_back(std::move(claim));
    } else {
      ADD_FAILURE() << path << ": " << line;
    }
  }
  return out;
}

struct Outcome {
  std::string text;  // as the first line of .expect
  std::string told;
  std::vector<std::string> conflicts;
};

Outcome outcome_of(const Error& error) { return {"error " + error.id, error.to_string(), {}}; }

// Fixtures were never run with anything, so what is untested is left out.
Outcome outcome_of(const std::string& path, const HostOffer& host) {
  const auto manifest = load_manifest(path);
  if (!manifest.ok()) return outcome_of(manifest.error());
  auto assembly = assemble(*manifest, catalog(), {}, host);
  if (!assembly.ok()) return outcome_of(assembly.error());
  assembly->verdict.untested.clear();
  Outcome out{standing_name(assembly->verdict.standing()), "", {}};
  if (const Status fits = check_conflicts(*assembly, catalog(), host); !fits.ok())
    out = outcome_of(fits.error());
  for (const Conflict& conflict : assembly->verdict.conflicts)
    out.conflicts.push_back(roles_text(assembly->contracts, conflict.parts));
  for (const Degradation& each : assembly->verdict.degraded)
    out.told += each.said + " " + each.reason + " " + each.because + "\n";
  return out;
}

class Manifests : public testing::TestWithParam<std::string> {};

TEST_P(Manifests, EndAsExpected) {
  const fs::path path = kFolder / GetParam();
  const Expected expected = read_expected(fs::path(path).replace_extension(".expect"));
  const Outcome found = outcome_of(path.string(), expected.host);
  EXPECT_EQ(found.text, expected.outcome) << found.told;
  for (const std::string& part : expected.parts)
    EXPECT_NE(found.told.find(part), std::string::npos) << part << "\nin: " << found.told;
  if (!expected.conflicts.empty()) {
    EXPECT_EQ(found.conflicts, expected.conflicts);
  }
}

// Nobody needs --allow-untested for what is shipped.
TEST(ShippedManifests, FitAndWereRun) {
  PluginCatalog own;
  ASSERT_TRUE(own.add_directory(TENON_BINARY_DIR "/plugins").ok());
  for (const auto& entry : fs::directory_iterator(TENON_SOURCE_DIR "/apps/manifests")) {
    const auto manifest = load_manifest(entry.path().string());
    ASSERT_TRUE(manifest.ok()) << entry.path();
    const auto assembly = assemble(*manifest, own);
    ASSERT_TRUE(assembly.ok()) << assembly.error().to_string();
    EXPECT_EQ(assembly->verdict.standing(), Standing::kOk)
        << entry.path() << ": the pairs that docs/reference/compatibility.json lacks: "
        << untested_error(assembly->contracts, assembly->verdict, "").found;
  }
}

std::string case_name(const testing::TestParamInfo<std::string>& info) {
  return info.param.substr(0, info.param.find('.'));
}

INSTANTIATE_TEST_SUITE_P(, Manifests, testing::ValuesIn(cases()), case_name);

}  // namespace
}  // namespace tenon
