#include "core/plugin/trust.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "core/plugin/catalog.h"
#include "core/plugin/library.h"
#include "core/plugin/store.h"
#include "tests/unit/plugin/fixtures.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;

// A folder of this test's own that nobody else may write to.
class Trust : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("trust_" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "plugins");
    ::chmod(folder_.c_str(), 0755);
    ::chmod((folder_ / "plugins").c_str(), 0755);
    file_ = (folder_ / "plugins" / "cache.so").string();
    fs::copy_file(fixture("cache"), file_);
    ::chmod(file_.c_str(), 0644);
    host_.store = (folder_ / "store").string();
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string refusal() const {
    const auto read = read_trusted(file_, host_);
    return read.ok() ? "" : read.error().id;
  }
  PluginFile read() const {
    auto file = read_plugin_file(file_, std::make_shared<const HostConfig>(host_));
    EXPECT_TRUE(file.ok()) << (file.ok() ? "" : file.error().to_string());
    return file.ok() ? std::move(file).value() : PluginFile();
  }

  fs::path folder_;
  std::string file_;
  HostConfig host_;
};

TEST_F(Trust, AFileOfOnesOwnIsRead) {
  EXPECT_EQ(refusal(), "");
  host_.production = true;
  EXPECT_EQ(refusal(), "");
}

TEST_F(Trust, WhatOthersMayWriteToIsRefused) {
  ::chmod(file_.c_str(), 0646);
  EXPECT_EQ(refusal(), "TENON-P122");
  ::chmod(file_.c_str(), 0664);
  EXPECT_EQ(refusal(), "");
  host_.production = true;
  EXPECT_EQ(refusal(), "TENON-P122");
}

TEST_F(Trust, AFolderThatOthersMayWriteToIsRefusedInProduction) {
  ::chmod((folder_ / "plugins").c_str(), 0777);
  EXPECT_EQ(refusal(), "");
  host_.production = true;
  EXPECT_EQ(refusal(), "TENON-P123");
  ::chmod((folder_ / "plugins").c_str(), 01777);
  EXPECT_EQ(refusal(), "");
}

TEST_F(Trust, AnothersFileIsRefusedInProduction) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  ASSERT_EQ(::chown(file_.c_str(), 12345, 12345), 0);
  EXPECT_EQ(refusal(), "");
  host_.production = true;
  EXPECT_EQ(refusal(), "TENON-P121");
}

TEST_F(Trust, OnlyTheOperatorsDirectoriesCount) {
  host_.plugin_directories = {(folder_ / "plugins").string()};
  EXPECT_EQ(refusal(), "");
  host_.plugin_directories = {(folder_ / "plug").string(), (folder_ / "store").string()};
  EXPECT_EQ(refusal(), "TENON-P120");
}

// A link does not lead out of the directories, and its name does not count.
TEST_F(Trust, ALinkIsWhatItPointsTo) {
  fs::create_directories(folder_ / "allowed");
  fs::create_symlink(file_, folder_ / "allowed" / "cache.so");
  host_.plugin_directories = {(folder_ / "allowed").string()};
  const auto read = read_trusted((folder_ / "allowed" / "cache.so").string(), host_);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().id, "TENON-P120");
}

TEST_F(Trust, WhatIsNoFileIsRefused) {
  file_ = folder_.string();
  EXPECT_EQ(refusal(), "TENON-P001");
  file_ = (folder_ / "nothing.so").string();
  EXPECT_EQ(refusal(), "TENON-P001");
  file_ = (folder_ / "pipe.so").string();
  ASSERT_EQ(::mkfifo(file_.c_str(), 0600), 0);
  EXPECT_EQ(refusal(), "TENON-P001");
}

TEST_F(Trust, TheStoreKeepsContentsApart) {
  const PluginFile file = read();
  const auto path = store_library(file);
  ASSERT_TRUE(path.ok()) << path.error().to_string();
  EXPECT_EQ(*path, host_.store + "/" + file.sha256 + "/cache.so");
  EXPECT_EQ(read_text(*path), read_text(file_));
  struct stat of {};
  ASSERT_EQ(::stat(path->c_str(), &of), 0);
  EXPECT_EQ(of.st_mode & 0777, 0444u);
  EXPECT_EQ(*store_library(file), *path);
}

TEST_F(Trust, ADamagedCopyIsMadeAgain) {
  const PluginFile file = read();
  const std::string path = *store_library(file);
  ::chmod(path.c_str(), 0644);
  std::ofstream(path, std::ios::app) << "x";
  EXPECT_EQ(*store_library(file), path);
  EXPECT_EQ(read_text(path), read_text(file_));
}

TEST_F(Trust, AStoreOfOthersIsRefused) {
  fs::create_directories(host_.store);
  ::chmod(host_.store.c_str(), 0777);
  EXPECT_EQ(store_library(read()).error().id, "TENON-P132");
}

TEST_F(Trust, AStoreBelowAFolderOfOthersIsRefusedInProduction) {
  const fs::path above = folder_ / "above";
  fs::create_directories(above);
  ::chmod(above.c_str(), 0777);
  host_.store = (above / "store").string();
  EXPECT_TRUE(store_library(read()).ok());
  host_.production = true;
  EXPECT_EQ(store_library(read()).error().id, "TENON-P123");
}

TEST_F(Trust, APlaceThatCannotBeAStoreIsNamed) {
  std::ofstream(folder_ / "file") << "x";
  host_.store = (folder_ / "file" / "store").string();
  EXPECT_EQ(store_library(read()).error().id, "TENON-P131");
}

TEST_F(Trust, AProcessOpensNoMoreThanItMay) {
  host_.max_images = 1;
  // Another content than any other test of this program opens.
  fs::copy_file(fixture("scheduler_needs"), file_, fs::copy_options::overwrite_existing);
  ASSERT_TRUE(open_plugin(*read_plugin_file(fixture("cache"))).ok());
  EXPECT_EQ(open_plugin(read()).error().id, "TENON-P046");
}

}  // namespace
}  // namespace tenon
