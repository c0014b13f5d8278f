// The parts of the command line. Only cli*.cc include this, and with it CLI11.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "apps/tenon/cli.h"
#include "apps/tenon/manual.h"

namespace tenon::app {

constexpr int kMaxTokens = 1 << 24;  // of everything that counts tokens or pages

// What the parser fills in; `command` is set by the callback of the subcommand that was given.
struct Parsed {
  Command command;
  HelpCommand help;
  std::vector<std::string> topic;
  VersionCommand version;
  ModelListCommand model_list;
  ModelPullCommand model_pull;
  RunCommand run;
  ScoreCommand score;
  BenchCommand bench;
  ReplayTraceCommand replay_trace;
  InspectCommand inspect;
  ManifestCheckCommand manifest_check;
  ManifestExplainCommand manifest_explain;
  ManifestDiffCommand manifest_diff;
  ManifestLockCommand manifest_lock;
  PluginListCommand plugin_list;
  PluginMatrixCommand plugin_matrix;
  NewCommand new_project;
  AdapterListCommand adapter_list;
  AdapterLoadCommand adapter_load;
  AdapterRemoveCommand adapter_remove;
  ConformCommand conform;
};

template <class Args>
CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& description,
                      const std::string& path, Parsed& parsed, Args Parsed::*args) {
  CLI::App* command = parent.add_subcommand(name, description);
  command->footer(std::string(examples_of(path)));
  command->callback([&parsed, args] { parsed.command = parsed.*args; });
  return command;
}

// The options of a command that loads plugins: where else to look for them.
void add_plugin_dirs(CLI::App& command, std::vector<std::string>& out);
void add_allow_untested(CLI::App& command, bool& out);
// Those of a command that loads an engine.
void add_engine(CLI::App& command, EngineChoice& out);

// Each declares a group of commands.
void declare_generation(CLI::App& app, Parsed& parsed);  // run, score, bench, replay-trace
void declare_files(CLI::App& app, Parsed& parsed);       // inspect, model, adapter
void declare_plugins(CLI::App& app, Parsed& parsed);     // manifest, plugin
void declare_authoring(CLI::App& app, Parsed& parsed);   // new, conform

}  // namespace tenon::app
