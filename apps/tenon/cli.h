// The command line, turned into plain structs. only cli*.cc include CLI11.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "apps/tenon/new_project.h"
#include "core/base/error.h"
#include "core/manifest/manifest.h"
#include "core/trace/generate.h"
#include "core/trace/metrics.h"

namespace tenon::app {

enum ExitCode { kExitOk = 0, kExitError = 1, kExitUsage = 2, kExitInterrupted = 130 };

// What each command that needs an engine accepts. Unset: as the manifest says.
struct EngineChoice {
  std::string manifest;  // empty: the built-in one
  std::string model;     // a known name, or a file
  std::string backend;   // a plugin's id, with its default parameters
  std::optional<std::int64_t> threads, context, kv_pages;
  std::vector<std::string> plugin_dirs;  // empty: the installation's
  std::vector<std::string> adapters;     // NAME, FOLDER or NAME=FOLDER each
  bool one_adapter = true;               // of all requests; false: each names its own
  bool allow_untested = false;           // run plugins together that were never run together
  bool check_boundary = false;           // also when nothing else asks for it
  bool no_prepack = false;               // neither read nor write files of packed weights
  bool profile = false;                  // print where the time went
  std::string profile_json, trace;       // files; empty: none
};

// What is not given is as the manifest says.
struct SamplingChoice : ManifestSampling {
  std::vector<std::string> stop;
  std::vector<std::string> logit_bias;  // "ID=BIAS" each
  bool ignore_eos = false;
};

struct HelpCommand {
  std::string text;  // ready to print
};
struct VersionCommand {
  bool json = false;
  std::string revision;  // of the tree that this was built from
};
struct ModelListCommand {
  bool json = false;
};
struct ModelPullCommand {
  std::string name;
  bool json = false;
};
struct AdapterListCommand {
  std::string manifest;  // its adapters beside those that are kept; empty: none
  bool json = false;
};
struct AdapterLoadCommand {
  EngineChoice engine;
  std::string folder;
  std::string name;  // empty: the folder's
  bool json = false;
};
struct AdapterRemoveCommand {
  std::string name;
  bool json = false;
};
struct RunCommand {
  EngineChoice engine;
  SamplingChoice sampling;
  std::string prompt;  // empty: from `file`, else from stdin, else a conversation
  std::string file;
  std::string prompts;  // a file of prompts, one a line
  std::string system;
  bool raw = false;  // no chat template
  std::int32_t logprobs = 0;
  bool stats = false;
  bool json = false;
};
struct ScoreCommand {
  EngineChoice engine;
  std::string file;
  std::string text;
  std::int64_t window = 0;  // tokens; 0: the context
  bool tokens = false;
  bool json = false;
};
struct BenchCommand {
  EngineChoice engine;
  std::vector<std::int64_t> prompt{512}, gen{128}, depth{0}, batch{1};  // every combination
  std::optional<std::int64_t> rounds;
  std::int64_t warm_up = 10;         // the most rounds of it
  std::string against;               // the manifest of B; empty: A's
  std::string against_binary;        // the program of B; empty: this one
  std::string against_options;       // of B alone, over the others
  std::vector<std::string> compare;  // two results, instead of measuring
  bool limits = false;               // measure the machine and nothing else
  bool no_limits = false;
  bool json = false;
  bool arm = false;      // of a child: measure what stdin says
  std::string revision;  // of the tree that this was built from
};
struct ReplayTraceCommand {
  EngineChoice engine;                 // its manifest is one of `manifests`
  std::vector<std::string> manifests;  // arms, run in turns; none: the built-in one
  std::string file;                    // the trace, unless it is generated
  bool generate = false;
  TraceShape shape;
  std::string out;  // write the generated trace here and run nothing
  std::int64_t rounds = 1;
  double speed = 1;              // how much faster than the trace says
  bool ignore_adapters = false;  // the base model answers, whatever the rows name
  ServiceBounds bounds;
  bool json = false;
};
struct InspectCommand {
  std::string file;
  bool tensors = false;
  bool json = false;
};
struct ManifestCheckCommand {
  std::vector<std::string> files;
  std::vector<std::string> plugin_dirs;
  bool allow_untested = false;
  bool json = false;  // an object for each file
};
struct ManifestExplainCommand {
  std::string file;
  std::vector<std::string> plugin_dirs;
  bool json = false;
};
struct ManifestDiffCommand {
  std::string a, b;
  std::vector<std::string> plugin_dirs;
  bool json = false;
};
struct ManifestLockCommand {
  std::string file;
  std::string out;  // empty: stdout
  bool in_place = false;
  bool update = false;  // what the file pins already is pinned anew
  std::vector<std::string> plugin_dirs;
  bool json = false;
};
struct NewCommand {
  NewProject project;
  bool json = false;
};
struct PluginListCommand {
  std::vector<std::string> plugin_dirs;
  bool markdown = false;  // the page docs/reference/plugins.md
  bool json = false;
};
struct PluginMatrixCommand {
  std::vector<std::string> plugin_dirs;
  std::string pairs;         // a regular expression over "ID with ID"; empty: all
  std::string update;        // a folder that gets the record, the page and the picture
  bool check = false;        // compare with a record:
  std::string check_folder;  // of this folder; empty: the one that was built in
  std::int64_t jobs = 0;     // engines at a time; 0: one for each core
  double timeout = 120;      // seconds for each
  bool json = false;
  std::string only, family, result;  // of a child: the plugins, the model, and the file
};

struct ConformCommand {
  std::string file;
  std::string include, exclude;     // regular expressions over the names of tests
  std::vector<std::string> params;  // KEY=VALUE each
  std::vector<std::string> plugin_dirs;
  std::uint64_t seed = 1;
  std::int64_t effort = 1, jobs = 0;
  double timeout = 60, fuzz = 0;  // seconds
  bool in_process = false;
  bool list = false;
  bool markdown = false;  // of the list: the page docs/reference/conformance.md
  bool json = false;
  std::string only, result;  // of a child: the test, and the file for what it found
};

using Command =
    std::variant<HelpCommand, VersionCommand, ModelListCommand, ModelPullCommand, RunCommand,
                 ScoreCommand, BenchCommand, ReplayTraceCommand, InspectCommand,
                 ManifestCheckCommand, ManifestExplainCommand, ManifestDiffCommand,
                 ManifestLockCommand, PluginListCommand, PluginMatrixCommand, AdapterListCommand,
                 AdapterLoadCommand, AdapterRemoveCommand, ConformCommand, NewCommand>;

// TENON-A001 for a command or an option that is unknown, TENON-A002 for one that is used wrongly;
// both mean exit code 2.
Result<Command> parse_command_line(int argc, const char* const* argv);

// Each in its own cmd_*.cc; the exit code.
int run_command(const HelpCommand& command);
int run_command(const VersionCommand& command);
int run_command(const ModelListCommand& command);
int run_command(const ModelPullCommand& command);
int run_command(const RunCommand& command);
int run_command(const ScoreCommand& command);
int run_command(const BenchCommand& command);
int run_command(const ReplayTraceCommand& command);
int run_command(const InspectCommand& command);
int run_command(const ManifestCheckCommand& command);
int run_command(const ManifestExplainCommand& command);
int run_command(const ManifestDiffCommand& command);
int run_command(const ManifestLockCommand& command);
int run_command(const PluginListCommand& command);
int run_command(const PluginMatrixCommand& command);
int run_command(const NewCommand& command);
int run_command(const AdapterListCommand& command);
int run_command(const AdapterLoadCommand& command);
int run_command(const AdapterRemoveCommand& command);
int run_command(const ConformCommand& command);

// Prints the error and gives its exit code. With `json` it is also an object on stdout, so that a
// program that reads stdout need not read stderr.
int report_error(const Error& error, bool json = false);

}  // namespace tenon::app
