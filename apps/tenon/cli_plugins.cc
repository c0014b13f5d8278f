// manifest and plugin: what fits together, and what there is.
#include "apps/tenon/cli_parts.h"

namespace tenon::app {
namespace {

void declare_manifest(CLI::App& app, Parsed& parsed) {
  CLI::App* manifest = app.add_subcommand("manifest", "Manifests: check");
  manifest->footer(std::string(examples_of("manifest")));
  manifest->require_subcommand(1);
  ManifestCheckCommand& check = parsed.manifest_check;
  CLI::App* checked = add_command(*manifest, "check", "Would this load? Nothing is loaded",
                                  "manifest check", parsed, &Parsed::manifest_check);
  checked->add_option("FILE", check.file, "A manifest")->required();
  checked->add_flag("--json", check.json, "Print JSON, errors included");
  add_plugin_dirs(*checked, check.plugin_dirs);
}

void declare_plugin(CLI::App& app, Parsed& parsed) {
  CLI::App* plugin = app.add_subcommand("plugin", "Plugins: list");
  plugin->footer(std::string(examples_of("plugin")));
  plugin->require_subcommand(1);
  CLI::App* list = add_command(*plugin, "list", "The plugins that a manifest can name",
                               "plugin list", parsed, &Parsed::plugin_list);
  list->add_flag("--markdown", parsed.plugin_list.markdown,
                 "Print the reference page of all plugins");
  list->add_flag("--json", parsed.plugin_list.json, "Print JSON");
  add_plugin_dirs(*list, parsed.plugin_list.plugin_dirs);
}

}  // namespace

void add_plugin_dirs(CLI::App& command, std::vector<std::string>& out) {
  command.add_option("--plugins", out, "A folder of plugins; may be repeated")
      ->type_name("DIR")
      ->take_all();
}

void declare_plugins(CLI::App& app, Parsed& parsed) {
  declare_manifest(app, parsed);
  declare_plugin(app, parsed);
}

}  // namespace tenon::app
