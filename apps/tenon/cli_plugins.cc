// manifest and plugin: what fits together, and what there is.
#include "apps/tenon/cli_parts.h"

namespace tenon::app {
namespace {

void declare_check(CLI::App& manifest, Parsed& parsed) {
  ManifestCheckCommand& check = parsed.manifest_check;
  CLI::App* command = add_command(manifest, "check", "Would this load? Nothing is loaded",
                                  "manifest check", parsed, &Parsed::manifest_check);
  command->add_option("FILE", check.files, "Manifests")->required();
  command->add_flag("--json", check.json, "Print JSON, errors included, an object for each file");
  add_allow_untested(*command, check.allow_untested);
  add_plugin_dirs(*command, check.plugin_dirs);
}

void declare_explain(CLI::App& manifest, Parsed& parsed) {
  ManifestExplainCommand& explain = parsed.manifest_explain;
  CLI::App* command =
      add_command(manifest, "explain", "What each role asks and gives, and what came of it",
                  "manifest explain", parsed, &Parsed::manifest_explain);
  command->add_option("FILE", explain.file, "A manifest")->required();
  command->add_flag("--json", explain.json, "Print JSON, errors included");
  add_plugin_dirs(*command, explain.plugin_dirs);
}

void declare_diff(CLI::App& manifest, Parsed& parsed) {
  ManifestDiffCommand& diff = parsed.manifest_diff;
  CLI::App* command = add_command(manifest, "diff", "What differs between two, defaults included",
                                  "manifest diff", parsed, &Parsed::manifest_diff);
  command->add_option("A", diff.a, "A manifest")->required();
  command->add_option("B", diff.b, "Another")->required();
  command->add_flag("--json", diff.json, "Print JSON, errors included");
  add_plugin_dirs(*command, diff.plugin_dirs);
}

void declare_lock(CLI::App& manifest, Parsed& parsed) {
  ManifestLockCommand& lock = parsed.manifest_lock;
  CLI::App* command = add_command(manifest, "lock", "Pin versions, libraries and the model",
                                  "manifest lock", parsed, &Parsed::manifest_lock);
  command->add_option("FILE", lock.file, "A manifest")->required();
  CLI::Option* out = command->add_option("-o,--out", lock.out, "Write here instead of to stdout");
  out->type_name("FILE");
  command->add_flag("--in-place", lock.in_place, "Write over the file itself")->excludes(out);
  command->add_flag("--update", lock.update, "Pin anew what the file pins already");
  command->add_flag("--json", lock.json, "Print what was pinned as JSON, errors included");
  add_plugin_dirs(*command, lock.plugin_dirs);
}

void declare_manifest(CLI::App& app, Parsed& parsed) {
  CLI::App* manifest = app.add_subcommand("manifest", "Manifests: check, explain, diff, lock");
  manifest->footer(std::string(examples_of("manifest")));
  manifest->require_subcommand(1);
  declare_check(*manifest, parsed);
  declare_explain(*manifest, parsed);
  declare_diff(*manifest, parsed);
  declare_lock(*manifest, parsed);
}

void declare_matrix(CLI::App& plugin, Parsed& parsed) {
  PluginMatrixCommand& matrix = parsed.plugin_matrix;
  CLI::App* command =
      add_command(plugin, "matrix", "Run every two plugins together, on tiny models",
                  "plugin matrix", parsed, &Parsed::plugin_matrix);
  command->add_option("--pairs", matrix.pairs, "Only those whose \"ID with ID\" this matches")
      ->type_name("REGEX");
  CLI::Option* update = command->add_option(
      "--update", matrix.update, "Write compatibility.json, .md and .svg to this folder");
  update->type_name("DIR")->excludes("--pairs");
  CLI::Option* check =
      command->add_option("--check", matrix.check_folder,
                          "Fail where a record says otherwise: a folder's, or the built-in one");
  check->type_name("[DIR]")->expected(0, 1)->excludes(update);
  command->parse_complete_callback([&matrix, check] { matrix.check = check->count() > 0; });
  command->add_option("-j,--jobs", matrix.jobs, "Engines at a time; 0: one for each core")
      ->check(CLI::Range(0, 1024));
  command->add_option("--timeout", matrix.timeout, "Seconds that an engine may take; default 120")
      ->check(CLI::PositiveNumber);
  command->add_flag("--json", matrix.json, "Print JSON, errors included");
  add_plugin_dirs(*command, matrix.plugin_dirs);
  command->add_option("--only", matrix.only)->group("");
  command->add_option("--family", matrix.family)->group("");
  command->add_option("--result", matrix.result)->group("");
}

void declare_plugin(CLI::App& app, Parsed& parsed) {
  CLI::App* plugin = app.add_subcommand("plugin", "Plugins: list, matrix");
  plugin->footer(std::string(examples_of("plugin")));
  plugin->require_subcommand(1);
  CLI::App* list = add_command(*plugin, "list", "The plugins that a manifest can name",
                               "plugin list", parsed, &Parsed::plugin_list);
  list->add_flag("--markdown", parsed.plugin_list.markdown,
                 "Print the reference page of all plugins");
  list->add_flag("--json", parsed.plugin_list.json, "Print JSON");
  add_plugin_dirs(*list, parsed.plugin_list.plugin_dirs);
  declare_matrix(*plugin, parsed);
}

}  // namespace

void add_plugin_dirs(CLI::App& command, std::vector<std::string>& out) {
  command
      .add_option("--plugins", out,
                  "A folder of plugins beside the installation's; may be repeated")
      ->type_name("DIR")
      ->take_all()
      ->allow_extra_args(false);
}

void add_allow_untested(CLI::App& command, bool& out) {
  command.add_flag("--allow-untested", out,
                   "Plugins may run together that were never run together");
}

void declare_plugins(CLI::App& app, Parsed& parsed) {
  declare_manifest(app, parsed);
  declare_plugin(app, parsed);
}

}  // namespace tenon::app
