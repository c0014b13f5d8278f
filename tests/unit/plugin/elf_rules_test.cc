#include "core/plugin/elf_rules.h"

#include "core/plugin/catalog.h"
#include "tests/unit/plugin/fixtures.h"

namespace tenon {
namespace {

ElfFacts facts_of(const std::string& name) {
  const Result<PluginFile> file = read_plugin_file(fixture(name));
  EXPECT_TRUE(file.ok()) << (file.ok() ? "" : file.error().to_string());
  return file.ok() ? file->facts : ElfFacts();
}

std::string broken_rule(const std::string& name) {
  const Status status = check_elf_rules(facts_of(name), {}, name);
  return status.ok() ? "" : status.error().id;
}

TEST(ElfRules, WhatTheSdkBuildsKeepsThem) {
  for (const char* name : {"scheduler", "cache", "attention", "backend", "model"})
    EXPECT_EQ(broken_rule(name), "") << name;
}

TEST(ElfRules, EachDefectIsNamed) {
  EXPECT_EQ(broken_rule("bad_exec_stack"), "TENON-P100");
  EXPECT_EQ(broken_rule("bad_rpath"), "TENON-P102");
  EXPECT_EQ(broken_rule("bad_import"), "TENON-P103");
  EXPECT_EQ(broken_rule("bad_exports"), "TENON-P104");
  EXPECT_EQ(broken_rule("bad_protobuf"), "TENON-P106");
  EXPECT_EQ(broken_rule("bad_no_entry"), "TENON-P041");
}

// clang makes no unique symbols; there the variable is an export like any other.
TEST(ElfRules, StateThatTwoVersionsWouldShareIsNamed) {
  EXPECT_EQ(broken_rule("bad_unique"),
            facts_of("bad_unique").unique.empty() ? "TENON-P104" : "TENON-P105");
}

TEST(ElfRules, TextRelocationsAreNamed) {
  ElfFacts facts = facts_of("scheduler");
  facts.text_relocations = true;
  EXPECT_EQ(check_elf_rules(facts, {}, "x").error().id, "TENON-P101");
}

TEST(ElfRules, TheOperatorMayAllowLibraries) {
  const ElfFacts facts = facts_of("bad_import");
  const std::string exactly[] = {"libz.so.1"}, by_beginning[] = {"libz.so.*"},
                    other[] = {"libz.so"};
  EXPECT_TRUE(check_elf_rules(facts, exactly, "x").ok());
  EXPECT_TRUE(check_elf_rules(facts, by_beginning, "x").ok());
  const Status refused = check_elf_rules(facts, other, "x");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().found, "libz.so.1");
}

TEST(ElfRules, ACatalogLeavesSuchFilesOut) {
  PluginCatalog catalog;
  EXPECT_EQ(catalog.add_library(fixture("bad_rpath")).error().id, "TENON-P102");
  HostConfig host;
  host.allow_imports = {"libz.so.1"};
  PluginCatalog allowing(host);
  EXPECT_TRUE(allowing.add_library(fixture("bad_import")).ok());
}

TEST(ElfFacts, SayWhatRunsAtOpening) {
  EXPECT_TRUE(facts_of("scheduler").initialisers.empty());
  const std::vector<std::string> found = facts_of("bad_initialiser").initialisers;
  ASSERT_EQ(found.size(), 1u);
  EXPECT_TRUE(found[0].starts_with("_GLOBAL__sub_I_")) << found[0];
}

TEST(ElfFacts, SayWhichVersionsAreNeeded) {
  const ElfFacts facts = facts_of("scheduler");
  EXPECT_TRUE(facts.glibc.starts_with("2.")) << facts.glibc;
  EXPECT_NE(std::find(facts.needed.begin(), facts.needed.end(), "libc.so.6"), facts.needed.end());
}

}  // namespace
}  // namespace tenon
