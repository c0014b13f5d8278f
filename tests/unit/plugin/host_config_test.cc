#include "core/plugin/host_config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace tenon {
namespace {

TEST(HostConfig, ReadsEveryField) {
  const auto host = parse_host_config(
      "profile: PRODUCTION plugin_directory: \"/opt/a\" plugin_directory: \"/opt/b\" allow_import: "
      "\"libz.so.*\" store: \"/var/tenon\" require_pins: false allow_untested: true "
      "check_boundary: "
      "true max_images: 3",
      "h");
  ASSERT_TRUE(host.ok()) << host.error().to_string();
  EXPECT_TRUE(host->production && *host->allow_untested && *host->check_boundary);
  EXPECT_FALSE(host->require_pins);
  EXPECT_EQ(host->plugin_directories, (std::vector<std::string>{"/opt/a", "/opt/b"}));
  EXPECT_EQ(host->allow_imports, std::vector<std::string>{"libz.so.*"});
  EXPECT_EQ(host->store, "/var/tenon");
  EXPECT_EQ(host->max_images, 3u);
}

TEST(HostConfig, ProductionWantsPinsUnlessItSaysOtherwise) {
  EXPECT_TRUE(parse_host_config("profile: PRODUCTION", "h")->require_pins);
  EXPECT_FALSE(parse_host_config("", "h")->require_pins);
}

TEST(HostConfig, WhatIsWrongIsNamedWithItsLine) {
  const auto unknown = parse_host_config("\n\nplugin_dir: \"/a\"", "h.textproto");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().id, "TENON-P111");
  EXPECT_EQ(unknown.error().where, "h.textproto:3");
  EXPECT_NE(unknown.error().message.find("plugin_dir"), std::string::npos);
  EXPECT_EQ(parse_host_config("plugin_directory: \"a\"", "h").error().id, "TENON-P112");
  EXPECT_EQ(parse_host_config("store: \"a\"", "h").error().id, "TENON-P112");
  EXPECT_EQ(parse_host_config("max_images: 0", "h").error().id, "TENON-P112");
  EXPECT_EQ(read_host_config("/nonexistent").error().id, "TENON-P110");
  EXPECT_EQ(read_host_config("/tmp").error().id, "TENON-P110");
  EXPECT_TRUE(read_host_config("/dev/null").ok());
}

// The rules of a machine must not be lost because its file cannot be looked at: here the place is
// below a link that leads to itself.
TEST(HostConfig, OneThatCannotBeLookedAtIsNotPassedOver) {
  const std::string folder = testing::TempDir() + "/host-config-loop";
  std::error_code ignored;
  std::filesystem::remove(folder, ignored);
  std::filesystem::create_symlink(folder, folder);
  ::setenv("XDG_CONFIG_HOME", folder.c_str(), 1);
  const auto host = find_host_config();
  ::unsetenv("XDG_CONFIG_HOME");
  ASSERT_FALSE(host.ok());
  EXPECT_EQ(host.error().id, "TENON-P110");
}

TEST(HostConfig, AFileThatOthersMayChangeIsRefused) {
  const std::string path = testing::TempDir() + "/shared_host.textproto";
  std::ofstream(path) << "max_images: 7";
  ::chmod(path.c_str(), 0644);
  EXPECT_TRUE(read_host_config(path).ok());
  ::chmod(path.c_str(), 0666);
  EXPECT_EQ(read_host_config(path).error().id, "TENON-P113");
  ::chmod(path.c_str(), 0664);
  EXPECT_EQ(read_host_config(path).error().id, "TENON-P113");
}

TEST(HostConfig, IsTheFileThatTheEnvironmentNames) {
  const std::string path = testing::TempDir() + "/host.textproto";
  std::ofstream(path) << "max_images: 7";
  ::chmod(path.c_str(), 0644);
  ::setenv("TENON_HOST_CONFIG", path.c_str(), 1);
  const auto host = find_host_config();
  ::unsetenv("TENON_HOST_CONFIG");
  ASSERT_TRUE(host.ok());
  EXPECT_EQ(host->max_images, 7u);
  EXPECT_EQ(host->source, path);
}

}  // namespace
}  // namespace tenon
