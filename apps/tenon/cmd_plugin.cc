// `plugin list`: what there is to choose from.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/tenon/cli.h"
#include "apps/tenon/session.h"
#include "core/plugin/reference_page.h"

namespace tenon::app {
namespace {

using nlohmann::ordered_json;

void print(const ordered_json& value) {
  std::puts(value.dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
}

std::vector<const PluginFile*> by_kind(const PluginCatalog& catalog) {
  std::vector<const PluginFile*> files;
  for (const PluginFile& file : catalog.files()) files.push_back(&file);
  std::sort(files.begin(), files.end(), [](const PluginFile* a, const PluginFile* b) {
    return std::pair(a->descriptor.kind, a->descriptor.id) <
           std::pair(b->descriptor.kind, b->descriptor.id);
  });
  return files;
}

}  // namespace

int run_command(const PluginListCommand& command) {
  const auto catalog = open_catalog(command.plugin_dirs);
  if (!catalog.ok()) return report_error(catalog.error(), command.json);
  if (command.json) {
    ordered_json list = ordered_json::array();
    for (const PluginFile* file : by_kind(*catalog))
      list.push_back(ordered_json::parse(plugin_json(*file)));
    print(list);
    return kExitOk;
  }
  if (command.markdown) {
    std::vector<PluginDescriptor> plugins;
    for (const PluginFile* file : by_kind(*catalog)) plugins.push_back(file->descriptor);
    std::fputs(plugin_reference_page(plugins).c_str(), stdout);
    return kExitOk;
  }
  std::printf("%-10s %-28s %-8s %-9s %s\n", "KIND", "ID", "VERSION", "NUMERICS", "TITLE");
  for (const PluginFile* file : by_kind(*catalog)) {
    const PluginDescriptor& plugin = file->descriptor;
    std::printf("%-10s %-28s %-8s %-9s %s\n", plugin.kind.c_str(), plugin.id.c_str(),
                plugin.version.c_str(), numerics_name(plugin.numerics), plugin.title.c_str());
  }
  return kExitOk;
}

}  // namespace tenon::app
