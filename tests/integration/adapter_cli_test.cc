// Adapters as a user meets them: kept, listed, used, removed, and what is said when it cannot be.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "apps/tenon/subprocess.h"
#include "core/conform/tiny_adapter.h"
#include "core/conform/tiny_model.h"

namespace tenon::app {
namespace {

class AdapterCli : public testing::Test {
 protected:
  void SetUp() override {
    cache_ = adapter_folder("cli-cache");
    model_ = TinyModel().save("adapter-cli");
    first_ = TinyAdapter(1, TinyAdapter::llama_modules(), 8).save("cli-first");
    second_ = TinyAdapter(2, TinyAdapter::llama_modules(), 4).save("cli-second");
  }
  ChildResult tenon(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), TENON_BINARY_DIR "/bin/tenon");
    auto result = run_child({.argv = arguments, .environment = {{"XDG_CACHE_HOME", cache_}}});
    EXPECT_TRUE(result.ok()) << result.error().to_string();
    return result.ok() ? *result : ChildResult{};
  }
  // Log-probabilities of a text, as `score` prints them.
  std::string score(const std::vector<std::string>& adapters) const {
    std::vector<std::string> arguments = {"score", "--text", "hello hello", "--model", model_};
    for (const std::string& adapter : adapters)
      arguments.insert(arguments.end(), {"--adapter", adapter});
    const ChildResult result = tenon(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.output;
    return result.output;
  }
  void expect_error(const std::vector<std::string>& arguments, const std::string& id,
                    const std::string& text) const {
    const ChildResult result = tenon(arguments);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_NE(result.output.find(id), std::string::npos) << result.output;
    EXPECT_NE(result.output.find(text), std::string::npos) << result.output;
  }
  std::string cache_, model_, first_, second_;
};

TEST_F(AdapterCli, IsKeptListedUsedAndRemoved) {
  const ChildResult loaded =
      tenon({"adapter", "load", first_, "--name", "first", "--model", model_});
  ASSERT_EQ(loaded.exit_code, 0) << loaded.output;
  for (const char* text :
       {"q_proj x2", "rank       8", "scale      2", "identity", "adapters/first"})
    EXPECT_NE(loaded.output.find(text), std::string::npos) << loaded.output;
  const ChildResult list = tenon({"adapter", "list", "--json"});
  EXPECT_NE(list.output.find("\"name\": \"first\""), std::string::npos) << list.output;

  const std::string base = score({}), kept = score({"first"}), second = score({second_});
  EXPECT_NE(base, kept);
  EXPECT_NE(kept, second);
  EXPECT_EQ(kept, score({first_}));
  EXPECT_EQ(kept, score({"other=" + second_, "first"}));
  EXPECT_EQ(kept, score({"only=" + first_}));

  expect_error({"adapter", "load", second_, "--name", "first", "--model", model_}, "TENON-A043",
               "tenon adapter remove first");
  expect_error({"adapter", "remove", "frist"}, "TENON-A040", "did you mean \"first\"?");
  EXPECT_EQ(tenon({"adapter", "remove", "first"}).exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(cache_ + "/tenon/adapters/first"));
}

TEST_F(AdapterCli, ErrorsSayWhatToDo) {
  expect_error({"score", "--text", "a", "--model", model_, "--adapter", "nothing"}, "TENON-A040",
               "tenon adapter load FOLDER");
  expect_error({"score", "--text", "a", "--model", model_, "--adapter", "x=" + first_, "--adapter",
                "x=" + second_},
               "TENON-A041", "NAME=FOLDER");
  expect_error({"adapter", "load", first_, "--name", ".hidden", "--model", model_}, "TENON-A042",
               "--name");
  expect_error({"score", "--text", "a", "--model", model_, "--adapter", "x=" + first_, "--adapter",
                "y=" + second_},
               "TENON-A045", "one NAME");
  expect_error({"adapter", "load", cache_, "--name", "x", "--model", model_, "--json"},
               "\"id\":\"TENON-D010\"", "adapter_config.json");
  EXPECT_FALSE(std::filesystem::exists(cache_ + "/tenon/adapters/x"));
}

}  // namespace
}  // namespace tenon::app
