#include "apps/tenon/cli.h"

#include <utility>
#include <vector>

#include "apps/tenon/cli_parts.h"
#include "core/base/suggest.h"

namespace tenon::app {
namespace {

void declare(CLI::App& app, Parsed& parsed) {
  app.require_subcommand(1);
  app.set_help_flag("-h,--help", "Print this help");
  declare_generation(app, parsed);
  declare_plugins(app, parsed);
  declare_authoring(app, parsed);
  declare_files(app, parsed);
  CLI::App* version =
      add_command(app, "version", "Print version and build", "version", parsed, &Parsed::version);
  version->add_flag("--json", parsed.version.json, "Print JSON");
  CLI::App* help =
      add_command(app, "help", "Print the manual, or a command's", "help", parsed, &Parsed::help);
  help->add_option("COMMAND", parsed.topic, "A command, e.g. model pull");
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

std::string path_of(const CLI::App& app) {
  return app.get_parent() ? path_of(*app.get_parent()) + " " + app.get_name() : "tenon";
}

const CLI::App& innermost(const CLI::App& app) {
  const auto given = app.get_subcommands();
  return given.empty() ? app : innermost(*given.back());
}

Error unknown_word(const CLI::App& app, const std::string& word) {
  const bool option = word.starts_with("-");
  const std::vector<std::string> known = option ? option_names(app) : command_names(app);
  Error error{.code = Code::kInvalidArgument,
              .id = "TENON-A001",
              .message = option ? "unknown option" : "unknown command",
              .where = path_of(app),
              .found = "\"" + word + "\"",
              .fix = suggest_fix(word.substr(0, word.find('=')), known)};
  if (!option && known.empty()) {
    error.message = "one word too many";
    error.fix = "see " + path_of(app) + " --help";
  }
  return error;
}

Error usage_error(const CLI::App& app, const CLI::ParseError& thrown) {
  const CLI::App& inner = innermost(app);
  const std::vector<std::string> left = app.remaining(true);
  if (!left.empty()) return unknown_word(inner, left.front());
  Error error{.code = Code::kInvalidArgument,
              .id = "TENON-A002",
              .message = thrown.what(),
              .where = path_of(inner),
              .fix = "see " + path_of(inner) + " --help"};
  if (const auto names = command_names(inner); !names.empty()) {
    error.message = "a command is missing";
    error.expected = "one of";
    for (const std::string& name : names) error.expected += " " + name;
  }
  return error;
}

Result<HelpCommand> help_on(const CLI::App& app, const std::vector<std::string>& topic) {
  if (topic.empty()) return HelpCommand{.text = manual()};
  const CLI::App* at = &app;
  for (const std::string& word : topic) {
    const auto found =
        at->get_subcommands([&](const CLI::App* command) { return command->get_name() == word; });
    if (found.empty()) return unknown_word(*at, word);
    at = found.front();
  }
  return HelpCommand{.text = at->help(path_of(*at->get_parent()))};
}

}  // namespace

Result<Command> parse_command_line(int argc, const char* const* argv) {
  const std::string first = argc > 1 ? argv[1] : "";
  if (argc <= 1 || first == "-h" || first == "--help") return Command(HelpCommand{manual()});
  if (first == "--version") return Command(VersionCommand{});

  CLI::App app("Tenon", "tenon");
  Parsed parsed;
  declare(app, parsed);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const CLI::App& inner = innermost(app);
    const std::string prefix = inner.get_parent() ? path_of(*inner.get_parent()) : "";
    return Command(HelpCommand{inner.help(prefix)});
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error);
  }
  if (std::holds_alternative<HelpCommand>(parsed.command)) {
    TENON_ASSIGN(HelpCommand help, help_on(app, parsed.topic));
    return Command(std::move(help));
  }
  return parsed.command;
}

}  // namespace tenon::app
