// check, explain, diff and lock as an operator meets them.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/tenon/subprocess.h"
#include "core/conform/tiny_model.h"

namespace tenon::app {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kShipped = TENON_SOURCE_DIR "/apps/manifests/";
// Of the tests' own plugins, which were never run beside those of the tree.
const std::string kFixtures = TENON_BINARY_DIR "/fixtures/plugins";

class ManifestCli : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "manifest-cli-" +
              testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ChildResult tenon(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), TENON_BINARY_DIR "/bin/tenon");
    auto result = run_child({.argv = arguments,
                             .environment = {{"XDG_CACHE_HOME", folder_ + "/cache"},
                                             {"XDG_STATE_HOME", folder_ + "/state"},
                                             {"TENON_HOST_CONFIG", ""}}});
    EXPECT_TRUE(result.ok()) << result.error().to_string();
    return result.ok() ? *result : ChildResult{};
  }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }
  static std::string read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static json object_of(const ChildResult& result) {
    const std::size_t begin = result.output.find("{\n"), end = result.output.rfind("\n}");
    EXPECT_NE(begin, std::string::npos) << result.output;
    return json::parse(result.output.substr(begin, end + 2 - begin), nullptr, false);
  }
  // A manifest of the tree's plugins around a scheduler and whatever else is given.
  std::string manifest(const std::string& name, const std::string& scheduler,
                       const std::string& more = "cache { plugin: \"tenon.cache.prefix\" }",
                       const std::string& model = "name: \"smollm2-135m-instruct\"") const {
    return write(name,
                 "model { " + model +
                     " } network { plugin: \"tenon.model.decoder\" } backend { plugin: "
                     "\"tenon.backend.cpu\" } attention { plugin: \"tenon.attention.dense\" } "
                     "scheduler { plugin: \"" +
                     scheduler + "\" } " + more);
  }
  std::vector<std::string> with_fixtures(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(),
                     {"--plugins", TENON_BINARY_DIR "/plugins", "--plugins", kFixtures});
    return arguments;
  }
  std::string folder_;
};

TEST_F(ManifestCli, CheckSaysWhatWouldRunAndTheVerdict) {
  const ChildResult text =
      tenon({"manifest", "check", kShipped + "tp.textproto", kShipped + "lora.textproto"});
  EXPECT_EQ(text.exit_code, 0) << text.output;
  for (const char* part : {"not fetched yet", "tenon.parallelism.tp 0.1.0", "ranks      3",
                           "prefill_chunk: 0", "tenon.adapter.lora", "verdict    ok"})
    EXPECT_NE(text.output.find(part), std::string::npos) << part << "\n" << text.output;
  const json out = object_of(tenon({"manifest", "check", kShipped + "tp.textproto", "--json"}));
  EXPECT_EQ(out["verdict"], "ok");
  EXPECT_EQ(out["ranks"], 3);
  EXPECT_EQ(out["roles"].size(), 7u);
  EXPECT_EQ(out["roles"][3]["params"]["prefill_chunk"], 0);
}

TEST_F(ManifestCli, CheckLooksIntoAModelThatIsHere) {
  const std::string model = TinyModel().save("manifest-cli");
  const std::string cache = "cache { plugin: \"tenon.cache.prefix\" }";
  const std::string good =
      manifest("good.textproto", "tenon.scheduler.fcfs", cache, "file: \"" + model + "\"");
  EXPECT_NE(tenon({"manifest", "check", good}).output.find("llama"), std::string::npos);
  const std::string absent =
      manifest("absent.textproto", "tenon.scheduler.fcfs", cache, "file: \"none.gguf\"");
  const ChildResult none = tenon({"manifest", "check", absent});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_NE(none.output.find("TENON-M030"), std::string::npos) << none.output;
  EXPECT_NE(none.output.find(folder_ + "/none.gguf"), std::string::npos) << none.output;
  write("none.gguf", "this is no model at all, but long enough to be one");
  const ChildResult bad = tenon({"manifest", "check", absent});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_NE(bad.output.find("TENON-F"), std::string::npos) << bad.output;
}

TEST_F(ManifestCli, AConflictIsExplainedWithTheChangeThatHelps) {
  const std::string path = manifest("m.textproto", "tenon.scheduler.sarathi",
                                    "cache { plugin: \"fixture.cache.whole\" }");
  const ChildResult check = tenon(with_fixtures({"manifest", "check", path}));
  EXPECT_EQ(check.exit_code, 1);
  for (const char* part : {"verdict    conflict", "conflict   scheduler, cache", "TENON-P031",
                           "tenon.scheduler.fcfs", "prompt.whole"})
    EXPECT_NE(check.output.find(part), std::string::npos) << part << "\n" << check.output;
  const ChildResult text = tenon(with_fixtures({"manifest", "explain", path}));
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_NE(text.output.find("requires prompt.whole: in conflict"), std::string::npos)
      << text.output;
  EXPECT_NE(text.output.find("rows.split if chunk_size >= 256 (chunk_size 64: it does not hold)"),
            std::string::npos)
      << text.output;
  const json out = object_of(tenon(with_fixtures({"manifest", "explain", path, "--json"})));
  EXPECT_EQ(out["verdict"], "conflict");
  EXPECT_EQ(out["conflicts"][0]["roles"], (json{"scheduler", "cache"}));
  EXPECT_FALSE(out["conflicts"][0]["changes"].empty());
}

TEST_F(ManifestCli, WhatWasNeverRunTogetherNeedsAWord) {
  const std::string path = manifest("m.textproto", "fixture.scheduler.whole");
  const ChildResult check = tenon(with_fixtures({"manifest", "check", path}));
  EXPECT_EQ(check.exit_code, 1);
  for (const char* part : {"verdict    untested", "TENON-P066", "--allow-untested",
                           "tenon.model.decoder 0.1.0 with fixture.scheduler.whole 1.0.0"})
    EXPECT_NE(check.output.find(part), std::string::npos) << part << "\n" << check.output;
  EXPECT_EQ(tenon(with_fixtures({"manifest", "check", path, "--allow-untested"})).exit_code, 0);

  const std::string model = TinyModel().save("manifest-cli-run");
  const auto run = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"score", "--text", "hello", "-m", path, "--model", model};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return tenon(with_fixtures(arguments)).output;
  };
  EXPECT_NE(run({}).find("TENON-P066"), std::string::npos);
  // The fixture's tables are empty, so what follows is another error.
  EXPECT_EQ(run({"--allow-untested"}).find("TENON-P066"), std::string::npos);
}

TEST_F(ManifestCli, TheHostMayAllowWhatIsUntested) {
  const std::string path = manifest("m.textproto", "fixture.scheduler.whole");
  const std::string config = write("host.textproto", "allow_untested: true");
  std::vector<std::string> arguments = with_fixtures({"manifest", "check", path});
  arguments.insert(arguments.begin(), TENON_BINARY_DIR "/bin/tenon");
  const auto result =
      run_child({.argv = arguments, .environment = {{"TENON_HOST_CONFIG", config}}});
  EXPECT_EQ(result->exit_code, 0) << result->output;
}

TEST_F(ManifestCli, DiffSaysWhatDiffersAsItWouldRun) {
  const std::string a = manifest("a.textproto", "tenon.scheduler.fcfs"),
                    b = manifest("b.textproto",
                                 "tenon.scheduler.fcfs\" param { key: \"max_sequences\" i: 64 } "
                                 "param { key: \"prefill_chunk\" i: 32 } version: \"0.1",
                                 "engine { threads: 2 } sampling { seed: 3 }");
  const ChildResult text = tenon({"manifest", "diff", a, b});
  EXPECT_EQ(text.exit_code, 0) << text.output;
  for (const std::string& part :
       {"scheduler param prefill_chunk: 0 (default) in " + a + ", 32 in " + b,
        "cache 1: tenon.cache.prefix 0.1.0, only in " + a, "engine threads: 0 in " + a,
        "sampling seed: 3, only in " + b})
    EXPECT_NE(text.output.find(part), std::string::npos) << part << "\n" << text.output;
  EXPECT_EQ(text.output.find("max_sequences"), std::string::npos) << text.output;
  EXPECT_EQ(tenon({"manifest", "diff", a, a}).output, "no difference\n");
  const json out = object_of(tenon({"manifest", "diff", a, b, "--json"}));
  EXPECT_GE(out["differences"].size(), 4u);
  EXPECT_EQ(tenon({"manifest", "diff", a, "/nonexistent.textproto"}).exit_code, 1);
}

TEST_F(ManifestCli, LockPinsEverythingAndTheResultLoads) {
  const std::string model = TinyModel().save("manifest-cli-lock");
  fs::copy_file(model, folder_ + "/model.gguf");
  const std::string path =
      manifest("m.textproto", "tenon.scheduler.fcfs", "cache { plugin: \"tenon.cache.prefix\" }",
               "file: \"model.gguf\"");
  const ChildResult printed = tenon({"manifest", "lock", path});
  EXPECT_EQ(printed.exit_code, 0) << printed.output;
  for (const char* part : {"sha256: ", "version: \"0.1.0\"", "/plugins/scheduler-fcfs.so"})
    EXPECT_NE(printed.output.find(part), std::string::npos) << part << "\n" << printed.output;

  fs::create_directories(folder_ + "/elsewhere");
  const std::string other = folder_ + "/elsewhere/locked.textproto";
  EXPECT_EQ(tenon({"manifest", "lock", path, "-o", other}).exit_code, 0);
  const ChildResult there = tenon({"manifest", "check", other});
  EXPECT_EQ(there.exit_code, 0) << there.output;
  EXPECT_NE(there.output.find(folder_ + "/model.gguf"), std::string::npos) << there.output;

  const json out = object_of(tenon({"manifest", "lock", path, "--in-place", "--json"}));
  EXPECT_EQ(out["written"], path);
  EXPECT_EQ(out["roles"].size(), 5u);
  EXPECT_EQ(out["model_sha256"].get<std::string>().size(), 64u);
  EXPECT_EQ(read(path), out["manifest"]);
  EXPECT_EQ(tenon({"manifest", "check", path}).exit_code, 0);
  fs::create_symlink("elsewhere/locked.textproto", folder_ + "/link.textproto");
  EXPECT_EQ(tenon({"manifest", "lock", folder_ + "/link.textproto", "--in-place"}).exit_code, 0);
  EXPECT_TRUE(fs::is_symlink(folder_ + "/link.textproto"));
  EXPECT_NE(tenon({"manifest", "diff", path, other}).output.find("no difference"),
            std::string::npos);

  std::ofstream(folder_ + "/model.gguf", std::ios::app) << "x";
  EXPECT_NE(tenon({"manifest", "check", path}).output.find("TENON-A031"), std::string::npos);
  EXPECT_EQ(tenon({"manifest", "lock", path, "--in-place", "--update"}).exit_code, 0);
  EXPECT_EQ(tenon({"manifest", "check", path}).exit_code, 0);
}

TEST_F(ManifestCli, LockRefusesWhatCannotLoad) {
  const std::string path = manifest("m.textproto", "tenon.scheduler.sarathi",
                                    "cache { plugin: \"fixture.cache.whole\" }");
  const ChildResult result = tenon(with_fixtures({"manifest", "lock", path}));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.output.find("TENON-P031"), std::string::npos) << result.output;
  const std::string good = manifest("good.textproto", "tenon.scheduler.fcfs");
  EXPECT_NE(
      tenon({"manifest", "lock", good, "-o", "/nonexistent/x.textproto"}).output.find("TENON-M031"),
      std::string::npos);
  EXPECT_NE(tenon({"manifest", "lock", good, "-o", folder_ + "/x.json"}).output.find("TENON-M032"),
            std::string::npos);
}

}  // namespace
}  // namespace tenon::app
