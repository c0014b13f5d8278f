// conform: the command for those who write plugins.
#include "apps/tenon/cli_parts.h"

namespace tenon::app {
namespace {

void declare_conform(CLI::App& app, Parsed& parsed) {
  ConformCommand& conform = parsed.conform;
  CLI::App* command = add_command(app, "conform", "Hold a plugin to what the boundary asks of it",
                                  "conform", parsed, &Parsed::conform);
  command->add_option("FILE", conform.file, "A plugin (.so)");
  command->add_flag("--list", conform.list, "Print the tests and run none");
  command->add_option("--include", conform.include, "Only tests whose name this matches")
      ->type_name("REGEX");
  command->add_option("--exclude", conform.exclude, "No tests whose name this matches")
      ->type_name("REGEX");
  command->add_option("--param", conform.params, "A parameter of the plugin; may be repeated")
      ->type_name("KEY=VALUE")
      ->take_all();
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

}  // namespace

void declare_authoring(CLI::App& app, Parsed& parsed) { declare_conform(app, parsed); }

}  // namespace tenon::app
