// `tenon plugin matrix`: a contract that is not true is found, whatever the plugin does.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/tenon/subprocess.h"
#include "core/conform/matrix.h"
#include "core/plugin/compatibility.h"

namespace tenon::app {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class MatrixCli : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "matrix-" +
              testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_ + "/pages");
    fs::create_directories(folder_ + "/plugins");
  }
  ChildResult matrix(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {TENON_BINARY_DIR "/bin/tenon", "plugin", "matrix"});
    auto result = run_child({.argv = arguments, .environment = {{"TENON_HOST_CONFIG", ""}}});
    EXPECT_TRUE(result.ok()) << result.error().to_string();
    return result.ok() ? *result : ChildResult{};
  }
  void copy(const std::string& library) const {
    fs::copy(TENON_BINARY_DIR "/" + library + ".so", folder_ + "/plugins");
  }
  // Over the tree's plugins and those that were copied.
  ChildResult with_copied(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--plugins", folder_ + "/plugins"});
    return matrix(std::move(arguments));
  }
  static json object_of(const ChildResult& result) {
    const std::size_t begin = result.output.find("{\n"), end = result.output.rfind("\n}");
    EXPECT_NE(begin, std::string::npos) << result.output;
    return json::parse(result.output.substr(begin, end + 2 - begin), nullptr, false);
  }
  static json cell(const json& all, const std::vector<std::string>& ids) {
    for (const json& cell : all["cells"]) {
      std::vector<std::string> found;
      for (const json& plugin : cell["plugins"]) found.push_back(plugin["id"]);
      if (found == ids) return cell;
    }
    ADD_FAILURE() << "no such cell";
    return {};
  }
  static std::string read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // A row of the record becomes another text.
  void tamper(const std::string& from, const std::string& to) const {
    const std::string path = folder_ + "/pages/compatibility.json";
    std::string text = read(path);
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << text;
    std::ofstream(path) << text.replace(at, from.size(), to);
  }
  std::string folder_;
};

TEST_F(MatrixCli, AClaimToBeExactThatIsFalseFails) {
  copy("fixtures/defects/lies");
  const ChildResult result =
      with_copied({"--check", "--pairs", "^fixture.defect.lies( with tenon.cache.prefix)?$"});
  EXPECT_EQ(result.exit_code, 1) << result.output;
  for (const char* part :
       {"TENON-A082 fixture.defect.lies 1.0.0: ", "TENON-A082 fixture.defect.lies 1.0.0 with tenon",
        "fixture.defect.lies changes what it should not: it says that it is exact", "TENON-A083"})
    EXPECT_NE(result.output.find(part), std::string::npos) << part << "\n" << result.output;
}

TEST_F(MatrixCli, WhatTheTreeRecordsIsTrue) {
  const ChildResult result =
      matrix({"--check", "--pairs", "tenon.scheduler.sarathi with tenon.cache.prefix"});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_NE(result.output.find("1 works, 0 degraded"), std::string::npos) << result.output;
}

TEST_F(MatrixCli, ACrashIsACell) {
  copy("fixtures/defects/crashes");
  const ChildResult result =
      with_copied({"--json", "--pairs", "^fixture.defect.crashes( with tenon.cache.prefix)?$"});
  EXPECT_EQ(result.exit_code, 1) << result.output;
  const json all = object_of(result);
  const json alone = cell(all, {"fixture.defect.crashes"});
  EXPECT_EQ(alone["verdict"], "disagrees");
  EXPECT_EQ(alone["models"]["llama"], "crashed: signal Segmentation fault");
  // Nothing is said of the two: the one that crashes by itself is named once.
  EXPECT_EQ(cell(all, {"fixture.defect.crashes", "tenon.cache.prefix"})["verdict"], "untested");
  EXPECT_EQ(all["counts"]["disagrees"], 1);
}

TEST_F(MatrixCli, WhatContractsRefuseIsNotRun) {
  copy("fixtures/plugins/cache_whole");
  copy("fixtures/plugins/cache_avoids");
  const ChildResult result =
      with_copied({"--json", "--pairs", "sarathi with fixture.cache.whole|^fixture.cache.avoids$"});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  const json all = object_of(result);
  const json conflict = cell(all, {"tenon.scheduler.sarathi", "fixture.cache.whole"});
  EXPECT_EQ(conflict["verdict"], "conflict");
  EXPECT_TRUE(conflict["models"].empty());
  EXPECT_NE(conflict["reason"].get<std::string>().find("prompt.whole"), std::string::npos);
  const json alone = cell(all, {"fixture.cache.avoids"});
  EXPECT_EQ(alone["verdict"], "degraded");
  EXPECT_EQ(alone["models"]["llama"], "equal");
  EXPECT_NE(alone["reason"].get<std::string>().find("halves are looked up twice"),
            std::string::npos);
}

TEST_F(MatrixCli, ARecordThatIsNotTrueIsFound) {
  for (const char* end : {"json", "md", "svg"})
    fs::copy(std::string(TENON_SOURCE_DIR "/docs/reference/compatibility.") + end,
             folder_ + "/pages");
  const std::string dense = "[\"tenon.attention.dense 0.1.0\",";
  tamper(dense + "\"tenon.cache.prefix 0.1.0\",\"passed",
         dense + "\"tenon.cache.prefix 0.1.0\",\"failed");
  tamper(dense + "\"tenon.model.decoder 0.1.0", dense + "\"tenon.model.decoder 0.0.9");
  const ChildResult checked =
      matrix({"--check", folder_ + "/pages", "--pairs",
              "dense with tenon.(cache.prefix|model.decoder)|sarathi with tenon.attention"});
  EXPECT_EQ(checked.exit_code, 1);
  std::vector<std::string> errors;
  for (std::size_t at = 0; (at = checked.output.find("error: ", at)) != std::string::npos; ++at)
    errors.push_back(checked.output.substr(at + 7, checked.output.find(": ", at + 7) - at - 7));
  EXPECT_EQ(errors, (std::vector<std::string>{
                        "TENON-A083 tenon.attention.dense 0.1.0 with tenon.model.decoder 0.1.0",
                        "TENON-A084 tenon.attention.dense 0.1.0 with tenon.cache.prefix 0.1.0"}))
      << checked.output;
}

// Nothing is run here: only the reference backend is in the catalog.
TEST(Matrix, APluginThatIsGoneIsFound) {
  PluginCatalog catalog;
  ASSERT_TRUE(add_builtin_plugins(catalog).ok());
  auto matrix = conform::Matrix::plan(catalog, [](const std::string&) { return true; });
  ASSERT_TRUE(matrix.ok()) << matrix.error().to_string();
  matrix->judge();
  std::string record = matrix_record(*matrix);
  ASSERT_TRUE(parse_compatibility(record, "test").ok()) << record;
  EXPECT_TRUE(check_matrix(*matrix, record, false).empty());
  const std::size_t at = record.find("\"pairs\": [");
  ASSERT_NE(at, std::string::npos);
  record.insert(at + 10, R"(["a.a 1", "b.b 1", "passed", "x"])");
  EXPECT_TRUE(check_matrix(*matrix, record, true).empty());
  const std::vector<Error> errors = check_matrix(*matrix, record, false);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].id, "TENON-A085");
  EXPECT_EQ(errors[0].where, "a.a 1 with b.b 1");
}

TEST_F(MatrixCli, WhatCannotBeDoneIsSaid) {
  for (const auto& [arguments, id] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--pairs", "("}, "TENON-A080"},
           {{"--pairs", "nothing.is.called.so"}, "TENON-A081"},
           {{"--pairs", "^tenon.scheduler.fcfs$", "--check", "/nowhere"}, "TENON-A030"}}) {
    const ChildResult result = matrix(arguments);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_NE(result.output.find(id), std::string::npos) << result.output;
  }
  EXPECT_EQ(matrix({"--pairs", "x", "--update", folder_}).exit_code, 2);
}

}  // namespace
}  // namespace tenon::app
