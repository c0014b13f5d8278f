// The binary as a user meets it: exit codes, where text goes, what errors say.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "apps/tenon/subprocess.h"

namespace tenon::app {
namespace {

ChildResult tenon(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), TENON_BINARY_DIR "/bin/tenon");
  auto result =
      run_child({.argv = arguments,
                 .environment = {{"XDG_CACHE_HOME", testing::TempDir() + "tenon-cli-no-cache"}}});
  EXPECT_TRUE(result.ok()) << result.error().to_string();
  return result.ok() ? *result : ChildResult{};
}

void expect_usage_error(const std::vector<std::string>& arguments, const std::string& text) {
  const ChildResult result = tenon(arguments);
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.output.find(text), std::string::npos) << result.output;
}

TEST(Cli, HelpIsTheManualAndSucceeds) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{}, {"help"}, {"--help"}, {"-h"}}) {
    const ChildResult result = tenon(arguments);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_NE(result.output.find("EXIT CODES"), std::string::npos);
  }
  EXPECT_NE(tenon({"help", "model", "pull"}).output.find("Example"), std::string::npos);
  EXPECT_EQ(tenon({"help", "model", "pull"}).output, tenon({"model", "pull", "--help"}).output);
}

TEST(Cli, WrongWordsGetTheNearestAndExitCode2) {
  expect_usage_error({"modle"}, "did you mean \"model\"?");
  expect_usage_error({"model", "pul", "x"}, "did you mean \"pull\"?");
  expect_usage_error({"model", "list", "--jsn"}, "did you mean \"--json\"?");
  expect_usage_error({"help", "modle"}, "did you mean \"model\"?");
  expect_usage_error({"model"}, "one of list pull");
  expect_usage_error({"model", "pull"}, "NAME");
  expect_usage_error({"model", "pull", "a", "b"}, "\"b\"");
}

TEST(Cli, ErrorsHaveAnIdAndExitCode1) {
  const ChildResult result = tenon({"model", "pull", "smollm2-135m-instrct"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.output.find("TENON-A010"), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("did you mean \"smollm2-135m-instruct\"?"), std::string::npos);
  EXPECT_NE(tenon({"model", "pull", "x", "--json"}).output.find("\"id\":\"TENON-A010\""),
            std::string::npos);
}

TEST(Cli, ListsModelsWithoutTouchingTheDisk) {
  const ChildResult result = tenon({"model", "list"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.output.find("smollm2-135m-instruct"), std::string::npos);
}

}  // namespace
}  // namespace tenon::app
