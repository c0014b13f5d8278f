// A machine without AVX-512, by an emulator that has AVX2 alone (qemu-x86_64, of Debian's
// qemu-user).
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "apps/tenon/subprocess.h"
#include "core/conform/tiny_model.h"

namespace tenon::app {
namespace {

std::string emulator() {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');)
    if (std::filesystem::exists(folder + "/qemu-x86_64")) return folder + "/qemu-x86_64";
  return {};
}

// What `run` prints; the answer goes before the first line of the statistics.
std::string run(std::vector<std::string> arguments, const std::string& model) {
  for (const char* more : {TENON_BINARY_DIR "/bin/tenon", "run", "--raw", "--stats", "--threads",
                           "2", "--temperature", "0", "-n", "12", "--ignore-eos", "--no-prepack"})
    arguments.emplace_back(more);
  arguments.insert(arguments.end(), {"--model", model, "the cat sat on the mat"});
  const auto result = run_child({.argv = arguments, .environment = {{"TENON_HOST_CONFIG", ""}}});
  EXPECT_TRUE(result.ok());
  if (!result.ok()) return {};
  EXPECT_EQ(result->exit_code, 0) << result->output;
  return result->output;
}

std::string answer_of(const std::string& output) {
  const std::size_t at = output.find("load ");
  EXPECT_NE(at, std::string::npos) << output;
  // The emulator's own warnings, of features that it lacks too, come first.
  const std::size_t line = output.rfind('\n', at);
  return output.substr(line == std::string::npos ? 0 : line + 1, at - line - 1);
}

TEST(OldCpu, WithoutAvx512ItTakesAvx2AndSaysTheSame) {
  const std::string qemu = emulator();
  if (qemu.empty()) GTEST_SKIP() << "there is no qemu-x86_64 here";
  const std::string model = TinyModel().save("old-cpu");
  const std::string here = run({}, model), there = run({qemu, "-cpu", "Haswell"}, model);
  EXPECT_NE(there.find("cpu avx2,"), std::string::npos) << there;
  EXPECT_FALSE(answer_of(here).empty()) << here;
  EXPECT_EQ(answer_of(there), answer_of(here)) << there;
  std::filesystem::remove(model);
}

TEST(OldCpu, WhatItHasNotIsRefusedByName) {
  const std::string qemu = emulator();
  if (qemu.empty()) GTEST_SKIP() << "there is no qemu-x86_64 here";
  const std::string model = TinyModel().save("old-cpu-isa"), manifest = model + ".textproto";
  std::ofstream(manifest) << R"(model { file: ")" << model << R"(" }
network { plugin: "tenon.model.decoder" }
backend { plugin: "tenon.backend.cpu" param { key: "isa" s: "avx512vnni" } }
attention { plugin: "tenon.attention.dense" }
scheduler { plugin: "tenon.scheduler.fcfs" }
cache { plugin: "tenon.cache.prefix" }
)";
  const auto result =
      run_child({.argv = {qemu, "-cpu", "Haswell", TENON_BINARY_DIR "/bin/tenon", "run", "--raw",
                          "-n", "2", "--no-prepack", "--manifest", manifest, "x"},
                 .environment = {{"TENON_HOST_CONFIG", ""}}});
  ASSERT_TRUE(result.ok());
  EXPECT_NE(result->exit_code, 0);
  EXPECT_NE(result->output.find("isa is avx512vnni, which this machine does not have"),
            std::string::npos)
      << result->output;
  std::filesystem::remove(model);
  std::filesystem::remove(manifest);
}

}  // namespace
}  // namespace tenon::app
