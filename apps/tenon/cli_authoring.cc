// new and conform: the commands for those who write plugins.
#include "apps/tenon/cli_parts.h"

namespace tenon::app {
namespace {

void declare_conform(CLI::App& app, Parsed& parsed) {
  ConformCommand& conform = parsed.conform;
  CLI::App* command = add_command(app, "conform", "Hold a plugin to what the boundary asks of it",
                                  "conform", parsed, &Parsed::conform);
  command->add_option("FILE", conform.file, "A plugin (.so)");
  command->add_flag("--list", conform.list, "Print the tests and run none");
  command->add_flag("--markdown", conform.markdown, "With --list: the reference page of the tests");
  command->add_option("--include", conform.include, "Only tests whose name this matches")
      ->type_name("REGEX");
  command->add_option("--exclude", conform.exclude, "No tests whose name this matches")
      ->type_name("REGEX");
  command->add_option("--param", conform.params, "A parameter of the plugin; may be repeated")
      ->type_name("KEY=VALUE")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--seed", conform.seed, "Random cases follow from it; default 1");
  command->add_option("--effort", conform.effort, "So many times the random cases; default 1")
      ->check(CLI::Range(1, 100000));
  command->add_option("--timeout", conform.timeout, "Seconds that a test may take; default 60")
      ->check(CLI::PositiveNumber);
  command->add_option("--fuzz", conform.fuzz, "Again with other seeds for this many seconds")
      ->check(CLI::PositiveNumber);
  command->add_option("-j,--jobs", conform.jobs, "Tests at a time; 0: one for each core")
      ->check(CLI::Range(0, 1024));
  command->add_flag("--in-process", conform.in_process, "All in this process, for a debugger");
  command->add_flag("--json", conform.json, "Print JSON, errors included");
  add_plugin_dirs(*command, conform.plugin_dirs);
  command->add_option("--only", conform.only)->group("");
  command->add_option("--result", conform.result)->group("");
}

void declare_new(CLI::App& app, Parsed& parsed) {
  NewProject& project = parsed.new_project.project;
  CLI::App* command = add_command(app, "new", "Begin a plugin of your own: makes a project", "new",
                                  parsed, &Parsed::new_project);
  command->add_option("KIND", project.kind, "scheduler, attention, cache, adapter, ...")
      ->required();
  command->add_option("NAME", project.name, "Of the folder, the library and the project")
      ->required();
  command->add_option("--lang", project.language, "c++ or c; default c++")
      ->check(CLI::IsMember({"c++", "c"}))
      ->type_name("LANGUAGE");
  command->add_option("--dir", project.parent, "Where the folder is made; default: here")
      ->type_name("DIR");
  command->add_option("--id", project.id, "The plugin's id; default org.example.NAME")
      ->type_name("ID");
  command->add_flag("--json", parsed.new_project.json, "Print JSON, errors included");
}

}  // namespace

void declare_authoring(CLI::App& app, Parsed& parsed) {
  declare_new(app, parsed);
  declare_conform(app, parsed);
}

}  // namespace tenon::app
