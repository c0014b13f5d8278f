#include "core/plugin/reference_page.h"

#include "tests/unit/plugin/fixtures.h"

namespace tenon {
namespace {

TEST(ReferencePage, ListsPluginsByKindWithTheirParameters) {
  const std::vector<PluginDescriptor> plugins = {*read_descriptor(fixture("cache")),
                                                 *read_descriptor(fixture("scheduler")),
                                                 *read_descriptor(fixture("attention"))};
  const std::string page = plugin_reference_page(plugins);
  const std::size_t scheduler = page.find("## scheduler"), attention = page.find("## attention"),
                    cache = page.find("## cache");
  EXPECT_LT(scheduler, attention);
  EXPECT_LT(attention, cache);
  EXPECT_NE(page.find("| `max_sequences` | int64 | 64 | 1 .. 4096 | sequences | Live at a time. |"),
            std::string::npos)
      << page;
  EXPECT_NE(page.find("requires: kv.restore, kv.per-token"), std::string::npos);
  EXPECT_NE(page.find("paper: A paper, https://example.org/paper"), std::string::npos);
  EXPECT_NE(page.find("No parameters."), std::string::npos);
}

TEST(ReferencePage, ABarInsideATextDoesNotBreakTheTable) {
  const std::vector<PluginDescriptor> plugins = {
      made(descriptor_text("params { key: \"a\" type: BOOL default_bool: true doc: \"x|y\" }"))};
  EXPECT_NE(plugin_reference_page(plugins).find("x\\|y"), std::string::npos);
}

TEST(Inspect, TextAndJsonSayTheSame) {
  const Result<PluginFile> file = read_plugin_file(fixture("scheduler"));
  ASSERT_TRUE(file.ok());
  const std::string text = plugin_text(*file), json = plugin_json(*file);
  for (const std::string& part :
       {file->sha256, file->path, std::string("max_sequences"),
        std::string("tenon_plugin_entry_v1"), std::string("prefill.axis")}) {
    EXPECT_NE(text.find(part), std::string::npos) << part;
    EXPECT_NE(json.find(part), std::string::npos) << part;
  }
  EXPECT_NE(text.find("param order: enum, default \"arrival\", arrival, shortest"),
            std::string::npos)
      << text;
  EXPECT_NE(json.find("\"default\": 64"), std::string::npos) << json;
}

}  // namespace
}  // namespace tenon
