// `plugin list` and `manifest check`: what there is to choose from, and whether a choice fits.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/tenon/cli.h"
#include "apps/tenon/model_store.h"
#include "apps/tenon/session.h"
#include "core/plugin/assembly.h"
#include "core/plugin/reference_page.h"

namespace tenon::app {
namespace {

using nlohmann::ordered_json;

void print(const ordered_json& value) {
  std::puts(value.dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
}

ordered_json value_json(const ParamValue& value) {
  return std::visit([](const auto& inside) { return ordered_json(inside); }, value);
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

std::string file_text(const PluginFile& file) {
  return file.path.empty() ? "(built in)" : file.path;
}

Result<std::vector<ChosenPlugin>> check(const Manifest& manifest, PluginCatalog& catalog) {
  if (!manifest.model.name.empty())
    if (const auto known = find_model(manifest.model.name); !known.ok()) {
      Error error = known.error();
      error.where = manifest.model.where;
      return error;
    }
  return choose_plugins(manifest, catalog);
}

void print_choice(const Manifest& manifest, const std::vector<ChosenPlugin>& chosen) {
  std::printf("model      %s\n",
              (manifest.model.name.empty() ? manifest_path(manifest, manifest.model.file)
                                           : manifest.model.name)
                  .c_str());
  for (const ChosenPlugin& plugin : chosen) {
    const PluginDescriptor& descriptor = plugin.file->descriptor;
    std::printf("%-10s %s %s  %s\n", plugin.role.c_str(), descriptor.id.c_str(),
                descriptor.version.c_str(), file_text(*plugin.file).c_str());
    for (const ResolvedParam& param : plugin.params.values())
      std::printf("             %s: %s\n", param.key.c_str(),
                  param_value_text(param.value).c_str());
  }
  std::puts("good: these plugins fit together");
}

void print_choice_json(const Manifest& manifest, const std::vector<ChosenPlugin>& chosen) {
  ordered_json roles = ordered_json::array();
  for (const ChosenPlugin& plugin : chosen) {
    ordered_json params = ordered_json::object();
    for (const ResolvedParam& param : plugin.params.values())
      params[param.key] = value_json(param.value);
    roles.push_back({{"role", plugin.role},
                     {"plugin", plugin.file->descriptor.id},
                     {"version", plugin.file->descriptor.version},
                     {"file", plugin.file->path},
                     {"sha256", plugin.file->sha256},
                     {"params", std::move(params)}});
  }
  print({{"manifest", manifest.source}, {"roles", std::move(roles)}});
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

int run_command(const ManifestCheckCommand& command) {
  const auto manifest = load_manifest(command.file);
  if (!manifest.ok()) return report_error(manifest.error(), command.json);
  auto catalog = open_catalog(command.plugin_dirs);
  if (!catalog.ok()) return report_error(catalog.error(), command.json);
  const auto chosen = check(*manifest, *catalog);
  if (!chosen.ok()) return report_error(chosen.error(), command.json);
  if (command.json)
    print_choice_json(*manifest, *chosen);
  else
    print_choice(*manifest, *chosen);
  return kExitOk;
}

}  // namespace tenon::app
