// The command line, turned into plain structs. cli.cc is the only file that includes CLI11.
#pragma once

#include <string>
#include <variant>

#include "core/base/error.h"

namespace tenon::app {

enum ExitCode { kExitOk = 0, kExitError = 1, kExitUsage = 2, kExitInterrupted = 130 };

struct HelpCommand {
  std::string text;  // ready to print
};
struct VersionCommand {
  bool json = false;
};
struct ModelListCommand {
  bool json = false;
};
struct ModelPullCommand {
  std::string name;
  bool json = false;
};

using Command = std::variant<HelpCommand, VersionCommand, ModelListCommand, ModelPullCommand>;

// TENON-A001 for a command or an option that is unknown, TENON-A002 for one that is used wrongly;
// both mean exit code 2.
Result<Command> parse_command_line(int argc, const char* const* argv);

// Each in its own cmd_*.cc; the exit code.
int run_command(const HelpCommand& command);
int run_command(const VersionCommand& command);
int run_command(const ModelListCommand& command);
int run_command(const ModelPullCommand& command);

// Prints the error and gives its exit code. With `json` it is also an object on stdout, so that a
// program that reads stdout need not read stderr.
int report_error(const Error& error, bool json = false);

}  // namespace tenon::app
