#include "core/plugin/elf_facts.h"

#include <elf.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "tests/unit/plugin/fixtures.h"

namespace tenon {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

const std::string& good() {
  static const std::string content = read_text(fixture("scheduler"));
  return content;
}

// Everything that the loader asks of a file, whatever the file is.
void read_all_of(const std::string& content) {
  const Result<ElfFile> file = read_elf(bytes_of(content), "x");
  if (!file.ok()) {
    RC_ASSERT(file.error().id == "TENON-P002");
    return;
  }
  std::size_t sum = 0;
  for (const ElfSection& section : file->sections)
    for (const std::byte byte : section.bytes) sum += static_cast<std::size_t>(byte);
  RC_ASSERT(sum < ~std::size_t{0});
  const auto facts = read_elf_facts(*file, "x");
  const bool fine = facts.ok() || facts.error().id == "TENON-P002";
  RC_ASSERT(fine);
}

TEST(ElfFacts, ALibraryThatDoesNotSayHowItWantsTheStackGetsItExecutable) {
  Result<ElfFile> file = read_elf(bytes_of(good()), "x");
  ASSERT_TRUE(file.ok());
  EXPECT_FALSE(read_elf_facts(*file, "x")->executable_stack);
  std::erase_if(file->segments, [](const ElfSegment& each) { return each.type == PT_GNU_STACK; });
  EXPECT_TRUE(read_elf_facts(*file, "x")->executable_stack);
}

TEST(Elf, FindsTheDescriptorAndTheOneExport) {
  const Result<ElfFile> file = read_elf(bytes_of(good()), "x");
  ASSERT_TRUE(file.ok()) << file.error().to_string();
  EXPECT_EQ(file->machine, EM_X86_64);
  const ElfSection* section = find_section(*file, ".tenon.plugin");
  ASSERT_NE(section, nullptr);
  EXPECT_FALSE(section->bytes.empty());
  EXPECT_EQ(find_section(*file, ".nothing"), nullptr);
  const auto facts = read_elf_facts(*file, "x");
  ASSERT_TRUE(facts.ok());
  EXPECT_EQ(facts->exports, std::vector<std::string>{"tenon_plugin_entry_v1"});
}

TEST(Elf, WhatIsNoLibraryIsRefused) {
  for (const std::string& content :
       {std::string(),
        std::string("\x7f"
                    "ELF"),
        std::string(64, '\0'),
        std::string("text, and more than sixty-four bytes of it, so that a header fits")})
    EXPECT_EQ(read_elf(bytes_of(content), "x").error().id, "TENON-P002");
}

RC_GTEST_PROP(ElfProperty, TruncatedFilesAreRefusedOrRead, ()) {
  read_all_of(good().substr(0, *rc::gen::inRange<std::size_t>(0, good().size())));
}

RC_GTEST_PROP(ElfProperty, MutatedFilesAreRefusedOrRead, ()) {
  std::string content = good();
  const int count = *rc::gen::inRange(1, 20);
  for (int i = 0; i < count; ++i)
    content[*rc::gen::inRange<std::size_t>(0, content.size())] = *rc::gen::arbitrary<char>();
  read_all_of(content);
}

// The headers hold all offsets and sizes; that is where a mutation hurts.
RC_GTEST_PROP(ElfProperty, MutatedHeadersAreRefusedOrRead, ()) {
  std::string content = good();
  const auto mutate = [&](std::size_t begin, std::size_t end) {
    content[*rc::gen::inRange(begin, end)] = *rc::gen::arbitrary<char>();
  };
  const std::size_t table = content.size() - std::min<std::size_t>(content.size(), 64 * 30);
  for (int i = 0; i < 3; ++i) mutate(24, 64);
  for (int i = 0; i < 6; ++i) mutate(table, content.size());
  read_all_of(content);
}

}  // namespace
}  // namespace tenon
