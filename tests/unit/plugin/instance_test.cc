#include "core/plugin/instance.h"

#include <filesystem>

#include "core/plugin/catalog.h"
#include "core/plugin/library.h"
#include "tenon/abi/cache.h"
#include "tenon/abi/scheduler.h"
#include "tests/unit/plugin/fixtures.h"

namespace tenon {
namespace {

const tenon_host& host() {
  static const tenon_host table = {{sizeof(tenon_host), 0, nullptr},
                                   nullptr,
                                   [](void*, std::int32_t, tenon_str) {},
                                   [](void*, const char*) -> const void* { return nullptr; }};
  return table;
}

Result<PluginInstance> make(const std::string& name, std::vector<ManifestParam> given = {}) {
  TENON_ASSIGN(const PluginFile file, read_plugin_file(fixture(name)));
  TENON_ASSIGN(ResolvedParams params, resolve_params(file.descriptor, given));
  return PluginInstance::create(file, std::move(params), host());
}

std::string refusal(const Result<PluginInstance>& result) {
  return result.ok() ? "" : result.error().id;
}

TEST(Instance, ComesUpAndGivesItsTable) {
  Result<PluginInstance> made = make("scheduler");
  ASSERT_TRUE(made.ok()) << made.error().to_string();
  const PluginInstance instance = std::move(made).value();
  EXPECT_EQ(instance.id(), "fixture.scheduler.good");
  EXPECT_EQ(instance.version(), "1.0.0");
  EXPECT_EQ(instance.file_hash().size(), 64u);
  const auto table = instance.table<tenon_scheduler_v1>(TENON_SCHEDULER_ID);
  ASSERT_TRUE(table.ok()) << table.error().to_string();
  tenon_schedule_view view{};
  tenon_plan plan{};
  plan.n_items = 7;
  EXPECT_EQ(table.value()->plan(instance.handle(), &view, &plan, nullptr), TENON_OK);
  EXPECT_EQ(plan.n_items, 0u);
}

TEST(Instance, MissingInterfaceIsNamed) {
  const Result<PluginInstance> instance = make("scheduler");
  ASSERT_TRUE(instance.ok());
  const auto table = instance->table<tenon_cache_v1>(TENON_CACHE_ID);
  ASSERT_FALSE(table.ok());
  EXPECT_EQ(table.error().id, "TENON-P050");
}

TEST(Instance, UnusableInterfacesAreNamed) {
  const auto id_of = [](const char* name) {
    const Result<PluginInstance> instance = make(name);
    if (!instance.ok()) return instance.error().to_string();
    return instance->table<tenon_scheduler_v1>(TENON_SCHEDULER_ID).error().id;
  };
  EXPECT_EQ(id_of("bad_short_interface"), "TENON-P051");
  EXPECT_EQ(id_of("bad_empty_interface"), "TENON-P052");
}

TEST(Instance, DefectsAreNamed) {
  EXPECT_EQ(refusal(make("bad_unresolved")), "TENON-P040");
  EXPECT_NE(make("bad_unresolved").error().found.find("tenon_fixture_that_does_not_exist"),
            std::string::npos);
  EXPECT_EQ(refusal(make("bad_no_entry")), "TENON-P041");
  EXPECT_EQ(refusal(make("bad_table_epoch")), "TENON-P042");
  EXPECT_EQ(refusal(make("bad_short_table")), "TENON-P043");
  EXPECT_EQ(refusal(make("bad_no_instance")), "TENON-P045");
  EXPECT_EQ(refusal(make("bad_claim")), "TENON-P053");
}

TEST(Instance, WhatCreateThrowsComesBackAsAnError) {
  const Result<PluginInstance> result = make("bad_create");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().id, "TENON-P900");
  EXPECT_EQ(result.error().message, "the fixture never comes up");
  EXPECT_EQ(result.error().where, "fixture.bad.create plugin.create");
}

TEST(Instance, IdentityFollowsVersionFileAndParameters) {
  const auto identity = [](const char* name, std::int64_t value) {
    return make(name, {{"max_sequences", value, ""}})->identity();
  };
  EXPECT_EQ(identity("scheduler", 8), identity("scheduler", 8));
  EXPECT_NE(identity("scheduler", 8), identity("scheduler", 9));
  EXPECT_NE(identity("scheduler", 8), identity("scheduler_new", 8));
}

TEST(Library, IsOpenedOnce) {
  const Result<PluginFile> file = read_plugin_file(fixture("cache"));
  ASSERT_TRUE(file.ok());
  const auto first = open_plugin(*file), second = open_plugin(*file);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first.value(), second.value());
}

TEST(Library, AFileThatChangesBeforeItIsOpenedIsRefused) {
  const std::string path = testing::TempDir() + "/changing.so";
  std::ofstream(path, std::ios::binary) << read_text(fixture("scheduler_future"));
  const Result<PluginFile> before = read_plugin_file(path);
  ASSERT_TRUE(before.ok()) << before.error().to_string();
  std::ofstream(path, std::ios::binary) << read_text(fixture("cache_rotated"));
  EXPECT_EQ(open_plugin(*before).error().id, "TENON-P044");
}

// The system loader goes by path; the store gives each content its own.
TEST(Library, AnotherContentAtTheSamePathIsAnotherLibrary) {
  const std::string path = testing::TempDir() + "/replaced.so";
  const auto open = [&](const char* name) -> const tenon_plugin_v1* {
    std::filesystem::remove(path);
    std::ofstream(path, std::ios::binary) << read_text(fixture(name));
    const Result<PluginFile> file = read_plugin_file(path);
    EXPECT_TRUE(file.ok());
    const auto table = open_plugin(*file);
    EXPECT_TRUE(table.ok()) << table.error().to_string();
    return table.ok() ? *table : nullptr;
  };
  const auto* first = open("cache");
  EXPECT_NE(open("cache_rotated"), first);
  EXPECT_EQ(open("cache"), first);
}

TEST(Library, BuiltInsAreCheckedToo) {
  PluginCatalog catalog;
  ASSERT_TRUE(
      catalog.add_builtin(descriptor_text(), []() -> const tenon_plugin_v1* { return nullptr; })
          .ok());
  const PluginFile* file = catalog.find("test.scheduler.one").value();
  EXPECT_EQ(open_plugin(*file).error().id, "TENON-P043");
}

}  // namespace
}  // namespace tenon
