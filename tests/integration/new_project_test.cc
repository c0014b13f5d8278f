// `tenon new`: what it makes, and what it refuses. tests/consumer builds and runs the projects.
#include "apps/tenon/new_project.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/plugin/descriptor.h"

namespace fs = std::filesystem;

namespace tenon::app {
namespace {

const std::string kTemplates = TENON_SOURCE_DIR "/sdk/template";

class NewProjectTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "tenon-new-" +
              testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string id_of_refusal(const NewProject& wish, const std::string& templates = kTemplates) {
    const auto made = create_project(wish, templates);
    return made.ok() ? "" : made.error().id;
  }
  static std::string read(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }

  std::string folder_;
};

// CMake refuses two tests of one name: the project's own test is called like the project.
TEST_F(NewProjectTest, AnyNameGivesTestsOfDifferentNames) {
  for (const std::string language : {"c", "c++"})
    for (const std::string name : {"inspect", "own-inspect"}) {
      const auto made = create_project({"scheduler", name, language, folder_, ""}, kTemplates);
      ASSERT_TRUE(made.ok()) << made.error().to_string();
      const std::string text = read(made->folder + "/CMakeLists.txt");
      EXPECT_NE(text.find("tenon_add_plugin_test(" + name + " "), std::string::npos) << text;
      EXPECT_NE(text.find("add_test(NAME "), std::string::npos) << text;
      EXPECT_EQ(text.find("add_test(NAME " + name + " "), std::string::npos) << text;
      fs::remove_all(made->folder);
    }
}

TEST_F(NewProjectTest, EveryKindHasATemplateWithACoherentDescriptor) {
  for (const std::string& kind : plugin_kinds()) {
    SCOPED_TRACE(kind);
    const auto made = create_project({kind, "my-" + kind, "c++", folder_, ""}, kTemplates);
    ASSERT_TRUE(made.ok()) << made.error().to_string();
    EXPECT_EQ(made->id, "org.example.my-" + kind);
    const auto descriptor =
        parse_descriptor_text(read(made->folder + "/plugin.textproto"), "plugin.textproto");
    ASSERT_TRUE(descriptor.ok()) << descriptor.error().to_string();
    EXPECT_EQ(descriptor->kind, kind);
    EXPECT_EQ(descriptor->id, made->id);
    EXPECT_FALSE(descriptor->title.empty() || descriptor->license.empty() ||
                 descriptor->oracle.empty());
    EXPECT_NE(descriptor->numerics, Numerics::kUnspecified);
    for (const ParamSpec& param : descriptor->params) EXPECT_FALSE(param.doc.empty()) << param.key;
    for (const std::string& file : made->files) {
      const std::string text = read(made->folder + "/" + file);
      EXPECT_FALSE(text.empty()) << file;
      EXPECT_EQ(text.find("@NAME@"), std::string::npos) << file;
      EXPECT_EQ(text.find("@ID@"), std::string::npos) << file;
    }
    EXPECT_NE(fs::status(made->folder + "/.ci/run").permissions() & fs::perms::owner_exec,
              fs::perms::none);
  }
}

TEST_F(NewProjectTest, CIsALanguageOfSomeKinds) {
  const auto made = create_project({"scheduler", "x", "c", folder_, "com.example.x"}, kTemplates);
  ASSERT_TRUE(made.ok()) << made.error().to_string();
  EXPECT_TRUE(fs::exists(made->folder + "/src/plugin.c"));
  EXPECT_FALSE(fs::exists(made->folder + "/src/plugin.cc"));
  EXPECT_EQ(id_of_refusal({"cache", "y", "c", folder_, ""}), "TENON-A052");
}

TEST_F(NewProjectTest, RefusesByName) {
  const auto unknown = create_project({"schduler", "x", "c++", folder_, ""}, kTemplates);
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().id, "TENON-A051");
  EXPECT_EQ(unknown.error().fix, "did you mean \"scheduler\"?");
  EXPECT_EQ(id_of_refusal({"project", "x", "c++", folder_, ""}), "TENON-A051");
  for (const char* name : {"", "X", "-x", "x-", "a/b", "..", "a b", "1a"})
    EXPECT_EQ(id_of_refusal({"cache", name, "c++", folder_, ""}), "TENON-A053") << name;
  EXPECT_EQ(id_of_refusal({"cache", std::string(65, 'a'), "c++", folder_, ""}), "TENON-A053");
  for (const char* id : {"x", "Org.example.x", "org..x", "org.example.x\n"})
    EXPECT_EQ(id_of_refusal({"cache", "x", "c++", folder_, id}), "TENON-A054") << id;
  EXPECT_EQ(id_of_refusal({"cache", "x", "c++", folder_, ""}, "/nowhere"), "TENON-A050");
  EXPECT_FALSE(fs::exists(folder_));
}

TEST_F(NewProjectTest, ChangesNothingThatIsThere) {
  fs::create_directories(folder_);
  fs::create_symlink("/nowhere", folder_ + "/x");
  EXPECT_EQ(id_of_refusal({"cache", "x", "c++", folder_, ""}), "TENON-A055");
  std::ofstream(folder_ + "/file") << "a file, not a folder";
  EXPECT_EQ(id_of_refusal({"cache", "y", "c++", folder_ + "/file", ""}), "TENON-A056");
}

}  // namespace
}  // namespace tenon::app
