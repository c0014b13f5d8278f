// The binary as a user meets it: exit codes, where text goes, what errors say.
#include <gtest/gtest.h>

#include <fstream>
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

// An option that may be repeated takes one value each time; what follows is the command's own.
TEST(Cli, ARepeatableOptionDoesNotTakeThePrompt) {
  const ChildResult run =
      tenon({"run", "--manifest", "/nonexistent", "--stop", ".", "--logit-bias", "5=1", "Hello"});
  EXPECT_NE(run.output.find("TENON-M001"), std::string::npos) << run.output;
  expect_usage_error({"run", "--file", "a", "--stop", ".", "Hello"}, "excludes");
  const ChildResult conform = tenon({"conform", "--param", "x=1", "/nonexistent.so"});
  EXPECT_NE(conform.output.find("TENON-P001"), std::string::npos) << conform.output;
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

TEST(Cli, TheReadyManifestsFitTheBuiltPlugins) {
  for (const std::string name :
       {"default", "every-parameter", "lora", "sarathi", "sarathi-serve", "tp"}) {
    const ChildResult result =
        tenon({"manifest", "check", TENON_SOURCE_DIR "/apps/manifests/" + name + ".textproto"});
    EXPECT_EQ(result.exit_code, 0) << result.output;
    EXPECT_NE(result.output.find("verdict    ok"), std::string::npos);
  }
}

TEST(Cli, RefusalsHappenBeforeAModelIsFetched) {
  const auto refused = [](const std::vector<std::string>& arguments, const std::string& id) {
    const ChildResult result = tenon(arguments);
    EXPECT_EQ(result.exit_code, 1) << result.output;
    EXPECT_NE(result.output.find(id), std::string::npos) << result.output;
  };
  refused({"run", "--backend", "tenon.backend.cpux", "x"}, "TENON-P020");
  refused({"run", "--manifest", "/nonexistent.textproto", "x"}, "TENON-M001");
  refused({"run", "--model", "nope", "x"}, "TENON-A010");
  refused({"run", "--model", "/nonexistent.gguf", "x"}, "TENON-F001");
  refused({"run", "--plugins", "/nonexistent", "x"}, "TENON-P023");
  refused({"run", "--file", "/nonexistent"}, "TENON-A030");
  refused({"run", "--trace", "/nonexistent/x", "x"}, "TENON-A018");
  refused({"run", "--profile-json", "/nonexistent/x", "x"}, "TENON-A018");
  refused({"score", "--model", "/nonexistent.gguf", "/nonexistent"}, "TENON-A030");
  refused({"replay-trace"}, "TENON-A024");
  refused({"replay-trace", "/nonexistent"}, "TENON-A021");
  refused({"replay-trace", TENON_SOURCE_DIR "/LICENSE"}, "TENON-A022");
  refused({"replay-trace", "--generate", "--count", "0"}, "TENON-A023");
  refused({"replay-trace", "--generate", "--out", "/nonexistent/x"}, "TENON-A025");
  refused({"inspect", "/nonexistent"}, "TENON-A030");
  refused({"inspect", TENON_SOURCE_DIR "/LICENSE"}, "TENON-A032");
  refused({"manifest", "check", TENON_SOURCE_DIR "/README.md"}, "TENON-M");
}

// Not even to be tested, and the tests' own copies of an allowed one are no reason to fail.
TEST(Cli, ConformKeepsToTheHostsConfiguration) {
  const auto conform = [](const std::string& rules, const std::string& library) {
    const std::string host = testing::TempDir() + "tenon-conform-host.textproto";
    std::ofstream(host) << rules;
    auto result = run_child(
        {.argv = {TENON_BINARY_DIR "/bin/tenon", "conform", TENON_BINARY_DIR "/" + library,
                  "--include", "load.two-images", "--seed", "18446744073709551615"},
         .environment = {{"TENON_HOST_CONFIG", host}}});
    EXPECT_TRUE(result.ok());
    return result.ok() ? *result : ChildResult{};
  };
  const ChildResult refused = conform("profile: PRODUCTION", "fixtures/plugins/scheduler.so");
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.output.find("TENON-P120"), std::string::npos) << refused.output;
  const ChildResult fine =
      conform("plugin_directory: \"" TENON_BINARY_DIR "/plugins\"", "plugins/scheduler-fcfs.so");
  EXPECT_EQ(fine.exit_code, 0) << fine.output;
  EXPECT_NE(fine.output.find("(seed 18446744073709551615)"), std::string::npos) << fine.output;
}

TEST(Cli, GeneratesATraceThatIsTheSameAgain) {
  const std::vector<std::string> command = {
      "replay-trace", "--generate", "--count", "5",    "--lengths", "arxiv", "--scale",
      "0.01",         "--arrivals", "gamma",   "--cv", "2",         "--out", "-"};
  const ChildResult first = tenon(command);
  EXPECT_EQ(first.exit_code, 0) << first.output;
  EXPECT_EQ(std::count(first.output.begin(), first.output.end(), '\n'), 5);
  EXPECT_EQ(tenon(command).output, first.output);
  // A shape without --generate would be silently of no use.
  EXPECT_EQ(tenon({"replay-trace", "x", "--count", "5"}).exit_code, 2);
  EXPECT_EQ(tenon({"replay-trace", "--generate", "--lengths", "long"}).exit_code, 2);
}

TEST(Cli, PluginsAreListedAndInspected) {
  const ChildResult list = tenon({"plugin", "list"});
  EXPECT_EQ(list.exit_code, 0);
  EXPECT_NE(list.output.find("tenon.attention.dense"), std::string::npos) << list.output;
  const ChildResult one =
      tenon({"inspect", TENON_BINARY_DIR "/plugins/attention-dense.so", "--json"});
  EXPECT_EQ(one.exit_code, 0) << one.output;
  EXPECT_NE(one.output.find("\"id\": \"tenon.attention.dense\""), std::string::npos);
}

}  // namespace
}  // namespace tenon::app
