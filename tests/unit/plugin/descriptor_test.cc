#include "core/plugin/descriptor.h"

#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <filesystem>

#include "core/plugin/plugin_file.h"
#include "core/plugin/vocabulary.h"
#include "tests/unit/plugin/fixtures.h"

namespace tenon {
namespace {

std::string refusal(const std::string& text) {
  const Result<PluginDescriptor> result = parse_descriptor_text(text, "test");
  return result.ok() ? "" : result.error().id;
}

std::string file_refusal(const std::string& path) {
  const Result<PluginDescriptor> result = read_descriptor(path);
  return result.ok() ? "" : result.error().id;
}

TEST(Descriptor, IsReadFromTheSectionOfALibrary) {
  const Result<PluginDescriptor> result = read_descriptor(fixture("scheduler"));
  ASSERT_TRUE(result.ok()) << result.error().to_string();
  EXPECT_EQ(result->id, "fixture.scheduler.good");
  EXPECT_EQ(result->kind, "scheduler");
  EXPECT_EQ(result->numerics, Numerics::kExact);
  EXPECT_EQ(result->provided, std::vector<std::string>{"prefill.axis=tokens"});
  ASSERT_EQ(result->params.size(), 5u);
  EXPECT_EQ(result->params[0].key, "max_sequences");
  EXPECT_EQ(std::get<std::int64_t>(*result->params[0].default_value), 64);
  EXPECT_EQ(result->params[0].max_int, 4096);
  EXPECT_EQ(result->params[0].unit, "sequences");
  EXPECT_EQ(result->params[3].values, (std::vector<std::string>{"arrival", "shortest"}));
  EXPECT_EQ(read_descriptor(fixture("cache"))->required,
            (std::vector<std::string>{"kv.restore", "kv.per-token"}));
  EXPECT_EQ(read_descriptor(fixture("attention"))->paper_title, "A paper");
}

TEST(Descriptor, FilesThatAreNoPluginsAreRefusedByName) {
  EXPECT_EQ(file_refusal("/nonexistent/x.so"), "TENON-P001");
  EXPECT_EQ(file_refusal("relative/nonexistent.so"), "TENON-P001");
  EXPECT_EQ(file_refusal(kFixtures), "TENON-P001");
  EXPECT_EQ(file_refusal(TENON_SOURCE_DIR "/CMakeLists.txt"), "TENON-P002");
  EXPECT_EQ(file_refusal(fixture("bad_no_section")), "TENON-P004");
  EXPECT_EQ(file_refusal(fixture("bad_garbage")), "TENON-P005");
  EXPECT_EQ(file_refusal(fixture("bad_incoherent")), "TENON-P006");
  EXPECT_EQ(file_refusal(fixture("bad_kind")), "TENON-P007");
  EXPECT_EQ(file_refusal(fixture("bad_descriptor_epoch")), "TENON-P008");
}

TEST(Descriptor, AnotherMachineIsRefusedByName) {
  std::string content = read_text(fixture("scheduler"));
  content[18] = static_cast<char>(183);  // e_machine: AArch64
  const std::string path = testing::TempDir() + "/other_machine.so";
  std::ofstream(path, std::ios::binary) << content;
  EXPECT_EQ(file_refusal(path), "TENON-P003");
}

TEST(Descriptor, IdentityIsChecked) {
  EXPECT_EQ(refusal(descriptor_text()), "");
  EXPECT_EQ(refusal(descriptor_text("", "single")), "TENON-P006");
  EXPECT_EQ(refusal(descriptor_text("", "Upper.case")), "TENON-P006");
  EXPECT_EQ(refusal(descriptor_text("", "a..b")), "TENON-P006");
  EXPECT_EQ(refusal(descriptor_text("", "a.b.")), "TENON-P006");
  EXPECT_EQ(refusal(descriptor_text("", "a.b", "sheduler")), "TENON-P007");
  EXPECT_EQ(refusal("id: \"a.b\" kind: \"cache\" version: \"x\" abi_epoch: 1"), "TENON-P006");
  EXPECT_EQ(refusal("id: \"a.b\" kind: \"cache\" version: \"1\" abi_epoch: 1"), "TENON-P006");
  EXPECT_EQ(refusal("id: \"a.b\" kind: \"cache\" version: \"1\""), "TENON-P008");
  EXPECT_EQ(refusal("no such field: 1"), "TENON-P005");
}

TEST(Descriptor, ParametersMustBeCoherent) {
  const auto param = [](const std::string& spec) {
    return refusal(descriptor_text("params { " + spec + " }"));
  };
  EXPECT_EQ(param("key: \"a\" type: INT64 default_int: 1 min_int: 1 max_int: 1"), "");
  EXPECT_EQ(param("key: \"a\" type: INT64 required: true"), "");
  EXPECT_EQ(param("key: \"a\" type: STRING default_string: \"\""), "");
  EXPECT_EQ(param("key: \"a\" type: INT64"), "TENON-P006");
  EXPECT_EQ(param("key: \"a\" type: INT64 default_int: 1 required: true"), "TENON-P006");
  EXPECT_EQ(param("key: \"A\" type: INT64 default_int: 1"), "TENON-P006");
  EXPECT_EQ(param("key: \"a\" default_int: 1"), "TENON-P006");
  EXPECT_EQ(param("key: \"a\" type: DOUBLE default_int: 1"), "TENON-P006");
  EXPECT_EQ(param("key: \"a\" type: INT64 default_int: 1 min_int: 2"), "TENON-P006");
  EXPECT_EQ(param("key: \"a\" type: INT64 default_int: 1 min_int: 2 max_int: 0"), "TENON-P006");
  EXPECT_EQ(param("key: \"a\" type: INT64 default_int: 1 min_double: 0"), "TENON-P006");
  EXPECT_EQ(param("key: \"a\" type: DOUBLE default_double: 1 min_int: 0"), "TENON-P006");
  EXPECT_EQ(param("key: \"a\" type: DOUBLE default_double: nan"), "TENON-P006");
  EXPECT_EQ(param("key: \"a\" type: DOUBLE default_double: 1 max_double: inf"), "TENON-P006");
  EXPECT_EQ(param("key: \"a\" type: ENUM default_string: \"x\""), "TENON-P006");
  EXPECT_EQ(param("key: \"a\" type: ENUM default_string: \"x\" values: \"y\""), "TENON-P006");
  EXPECT_EQ(param("key: \"a\" type: BOOL default_bool: true } params { key: \"a\" type: BOOL "
                  "default_bool: true"),
            "TENON-P006");
}

RC_GTEST_PROP(DescriptorProperty, AnyBytesAreRefusedOrRead, ()) {
  const auto bytes = *rc::gen::container<std::string>(rc::gen::arbitrary<char>());
  const Result<PluginDescriptor> result = parse_descriptor(bytes, "x");
  const bool fine = result.ok() || result.error().id.starts_with("TENON-P00");
  RC_ASSERT(fine);
}

TEST(Vocabulary, EveryDescriptorOfTheTreeKeepsToIt) {
  std::size_t descriptors = 0;
  for (const char* folder : {"/plugins", "/tests/fixtures/plugins"})
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(std::string(TENON_SOURCE_DIR) + folder)) {
      const std::filesystem::path& path = entry.path();
      if (path.extension() != ".textproto" || path.filename().string().starts_with("bad_"))
        continue;
      const PluginDescriptor descriptor = made(read_text(path.string()));
      ++descriptors;
      const auto check = [&](ClaimField field, const std::string& text) {
        const auto claim = parse_claim(text, descriptor.params, "test");
        ASSERT_TRUE(claim.ok()) << path;
        const Status words = check_words(*claim, field, descriptor.id, descriptor.kind, "");
        EXPECT_TRUE(words.ok()) << path << ": " << words.error().to_string();
      };
      for (const std::string& text : descriptor.provided) check(ClaimField::kProvides, text);
      for (const std::string& text : descriptor.required) check(ClaimField::kRequires, text);
      for (const std::string& text : descriptor.conflicts) check(ClaimField::kConflicts, text);
      for (const Wish& wish : descriptor.prefers) check(ClaimField::kPrefers, wish.claim);
      for (const Wish& wish : descriptor.avoids) check(ClaimField::kAvoids, wish.claim);
    }
  EXPECT_GE(descriptors, 10u);
}

}  // namespace
}  // namespace tenon
