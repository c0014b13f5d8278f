// Files of packed weights as an operator meets them.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "apps/tenon/subprocess.h"
#include "core/conform/tiny_model.h"

namespace tenon::app {
namespace {

namespace fs = std::filesystem;

class PrepackCli : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "prepack-cli-" +
              testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    model_ = folder_ + "/tiny.gguf";
    fs::copy_file(TinyModel().save("prepack-cli"), model_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // What `run` prints, with its statistics.
  std::string run(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {TENON_BINARY_DIR "/bin/tenon",
                                          "run",
                                          "--raw",
                                          "--stats",
                                          "--temperature",
                                          "0",
                                          "-n",
                                          "8",
                                          "--ignore-eos",
                                          "--model",
                                          model_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.emplace_back("the cat");
    const auto result = run_child({.argv = arguments,
                                   .environment = {{"XDG_CACHE_HOME", folder_ + "/cache"},
                                                   {"XDG_STATE_HOME", folder_ + "/state"},
                                                   {"TENON_HOST_CONFIG", ""}}});
    EXPECT_TRUE(result.ok());
    if (!result.ok()) return {};
    EXPECT_EQ(result->exit_code, 0) << result->output;
    return result->output;
  }
  std::vector<std::string> packed() const {
    std::vector<std::string> out;
    for (const auto& each : fs::recursive_directory_iterator(folder_))
      if (each.path().extension() == ".packed") out.push_back(each.path().string());
    return out;
  }
  static bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }
  std::string folder_, model_;
};

TEST_F(PrepackCli, TheSecondStartReadsWhatTheFirstHasLeft) {
  const std::string first = run();
  ASSERT_EQ(packed().size(), 1u) << first;
  EXPECT_TRUE(packed()[0].starts_with(model_ + ".")) << packed()[0];
  EXPECT_TRUE(has(first, "weights of the model file")) << first;
  const std::string second = run();
  EXPECT_TRUE(has(second, "weights of " + packed()[0])) << second;
  EXPECT_FALSE(has(first + second, "TENON-W")) << first << second;
}

TEST_F(PrepackCli, NoPrepackNeitherWritesNorReads) {
  run({"--no-prepack"});
  EXPECT_TRUE(packed().empty());
  run();
  ASSERT_EQ(packed().size(), 1u);
  EXPECT_TRUE(has(run({"--no-prepack"}), "weights of the model file"));
  EXPECT_EQ(packed().size(), 1u);
}

TEST_F(PrepackCli, ADamagedFileIsSaidOnceAndMadeAnew) {
  run();
  ASSERT_EQ(packed().size(), 1u);
  const std::string path = packed()[0];
  fs::resize_file(path, fs::file_size(path) - 100);
  const std::string damaged = run();
  const std::size_t said = damaged.find("TENON-W005 " + path);
  ASSERT_NE(said, std::string::npos) << damaged;
  EXPECT_TRUE(has(damaged, "it is made anew")) << damaged;
  EXPECT_EQ(damaged.find("TENON-W", said + 1), std::string::npos) << damaged;
  EXPECT_TRUE(has(run(), "weights of " + path));
}

}  // namespace
}  // namespace tenon::app
