#include "apps/tenon/cli.h"

#include <CLI/CLI.hpp>
#include <sstream>
#include <utility>
#include <vector>

#include "apps/tenon/manual.h"
#include "core/base/suggest.h"

namespace tenon::app {
namespace {

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
  PluginListCommand plugin_list;
  AdapterListCommand adapter_list;
  AdapterLoadCommand adapter_load;
  AdapterRemoveCommand adapter_remove;
};

template <class Args>
CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& description,
                      const std::string& path, Parsed& parsed, Args Parsed::*args) {
  CLI::App* command = parent.add_subcommand(name, description);
  command->footer(std::string(examples_of(path)));
  command->callback([&parsed, args] { parsed.command = parsed.*args; });
  return command;
}

void add_plugin_dirs(CLI::App& command, std::vector<std::string>& out) {
  command.add_option("--plugins", out, "A folder of plugins; may be repeated")
      ->type_name("DIR")
      ->take_all();
}

// All but the manifest.
void add_engine_numbers(CLI::App& command, EngineChoice& out) {
  command.add_option("--model", out.model, "Instead of the manifest's: a known name, or a file")
      ->type_name("NAME|FILE");
  command.add_option("--backend", out.backend, "Instead of the manifest's: a plugin's id")
      ->type_name("ID");
  command.add_option("-t,--threads", out.threads, "Threads; 0: all cores")
      ->check(CLI::Range(0, 1024));
  command.add_option("--context", out.context, "Tokens of the longest sequence; 0: the model's")
      ->check(CLI::Range(0, kMaxTokens));
  command.add_option("--kv-pages", out.kv_pages, "Pages of 64 tokens for keys and values")
      ->check(CLI::Range(0, kMaxTokens));
  add_plugin_dirs(command, out.plugin_dirs);
}

void add_engine(CLI::App& command, EngineChoice& out) {
  command.add_option("-m,--manifest", out.manifest, "What to assemble; default: the built-in one")
      ->type_name("FILE");
  add_engine_numbers(command, out);
}

void add_adapters(CLI::App& command, EngineChoice& out) {
  command
      .add_option("--adapter", out.adapters,
                  "Loads an adapter; requests use it unless it is NAME=FOLDER beside others")
      ->type_name("NAME|FOLDER|NAME=FOLDER")
      ->take_all();
}

void add_sampling(CLI::App& command, SamplingChoice& out) {
  command.add_option("-n,--max-tokens", out.max_tokens, "The most tokens of the answer")
      ->check(CLI::Range(1, kMaxTokens));
  command.add_option("--temperature", out.temperature, "0: always the most likely token");
  command.add_option("--top-k", out.top_k, "Only the k most likely tokens; 0: all");
  command.add_option("--top-p", out.top_p, "Only the likeliest tokens that together have this");
  command.add_option("--min-p", out.min_p, "Only tokens with this part of the best one's chance");
  command.add_option("--repetition-penalty", out.repetition_penalty, "1: none");
  command.add_option("--presence-penalty", out.presence_penalty, "0: none");
  command.add_option("--frequency-penalty", out.frequency_penalty, "0: none");
  command.add_option("--logit-bias", out.logit_bias, "Added to a token's logit; may be repeated")
      ->type_name("ID=BIAS")
      ->take_all();
  command.add_option("--seed", out.seed, "The same seed gives the same answer");
  command.add_option("--stop", out.stop, "End before this text; may be repeated")
      ->type_name("TEXT")
      ->take_all();
  command.add_flag("--ignore-eos", out.ignore_eos, "Go on after the model's end token");
}

void declare_run(CLI::App& app, Parsed& parsed) {
  RunCommand& run = parsed.run;
  CLI::App* command =
      add_command(app, "run", "Answer a prompt, or talk", "run", parsed, &Parsed::run);
  CLI::Option* prompt =
      command->add_option("PROMPT", run.prompt, "Left out: stdin, or a conversation on a terminal");
  CLI::Option* file =
      command->add_option("-f,--file", run.file, "The prompt from a file; -: stdin");
  file->type_name("FILE")->excludes(prompt);
  command
      ->add_option("--prompts", run.prompts,
                   "Prompts from a file, one a line, answered together; -: stdin")
      ->type_name("FILE")
      ->excludes(prompt)
      ->excludes(file);
  command->add_option("--system", run.system, "A system message before the prompt");
  command->add_flag("--raw", run.raw, "The prompt as it is, without the model's chat template");
  command->add_option("--logprobs", run.logprobs, "With --json: this many most likely tokens each")
      ->check(CLI::Range(0, 100));
  command->add_flag("--stats", run.stats, "Times and counts on stderr");
  command->add_flag("--json", run.json, "Print one JSON object at the end");
  add_sampling(*command, run.sampling);
  add_engine(*command, run.engine);
  add_adapters(*command, run.engine);
}

void declare_score(CLI::App& app, Parsed& parsed) {
  ScoreCommand& score = parsed.score;
  CLI::App* command = add_command(app, "score", "How likely a text is to the model", "score",
                                  parsed, &Parsed::score);
  command->add_option("FILE", score.file, "The text; -: stdin");
  command->add_option("--text", score.text, "The text itself, instead of a file");
  command->add_option("--window", score.window, "Cut into pieces of this many tokens; 0: context")
      ->check(CLI::Range(0, kMaxTokens));
  command->add_flag("--tokens", score.tokens, "Each token with its log-probability");
  command->add_flag("--json", score.json, "Print JSON");
  add_engine(*command, score.engine);
  add_adapters(*command, score.engine);
}

void declare_bench(CLI::App& app, Parsed& parsed) {
  BenchCommand& bench = parsed.bench;
  CLI::App* command = add_command(app, "bench", "Measure prompt reading and generation", "bench",
                                  parsed, &Parsed::bench);
  const CLI::Range tokens(0, kMaxTokens);
  command->add_option("--prompt", bench.prompt, "Tokens to read, timed")->check(tokens);
  command->add_option("--gen", bench.gen, "Tokens to generate, timed")->check(tokens);
  command->add_option("--depth", bench.depth, "Tokens in the cache beforehand")->check(tokens);
  command->add_option("--batch", bench.batch, "Sequences at once")->check(CLI::Range(1, 4096));
  command->add_option("--rounds", bench.rounds, "Repetitions; medians are printed")
      ->check(CLI::Range(1, 1000));
  add_engine(*command, bench.engine);
  add_adapters(*command, bench.engine);
}

// "; default 8", from what a struct has before the command line is read.
template <class Number>
std::string default_of(Number value) {
  std::ostringstream text;
  text << "; default " << value;
  return text.str();
}

// Turns a word into the number of an enum. CLI11's own transformer shows that number to the user.
CLI::Validator one_of(std::vector<std::pair<std::string, int>> words) {
  return CLI::Validator(
      [words = std::move(words)](std::string& word) {
        std::string known;
        for (const auto& [name, number] : words) {
          if (name == word) {
            word = std::to_string(number);
            return std::string();
          }
          known.append(known.empty() ? "" : ", ").append(name);
        }
        return "\"" + word + "\" is not one of " + known;
      },
      "");
}

// The options of --generate.
void add_trace_shape(CLI::App& command, TraceShape& shape, CLI::Option* generate) {
  const auto add = [&](const char* name, auto& out, const std::string& what) {
    return command.add_option(name, out, what)->needs(generate)->group("Generate");
  };
  const auto add_number = [&](const char* name, auto& out, const std::string& what) {
    add(name, out, what + default_of(out));
  };
  add_number("--count", shape.count, "Requests");
  add_number("--seed", shape.seed, "The same seed and shape give the same trace");
  add_number("--rate", shape.rate, "Requests per second; 0: all at once");
  add("--arrivals", shape.arrivals,
      "How gaps are spread: constant, poisson, gamma; default poisson")
      ->transform(one_of({{"constant", static_cast<int>(Arrivals::kConstant)},
                          {"poisson", static_cast<int>(Arrivals::kPoisson)},
                          {"gamma", static_cast<int>(Arrivals::kGamma)}}))
      ->type_name("NAME");
  add_number("--cv", shape.cv, "Coefficient of variation of gamma's gaps; above 1 in bursts");
  add("--lengths", shape.lengths,
      "Of prompts and answers: fixed, uniform (1 to 2 * mean - 1), sharegpt, arxiv; default fixed")
      ->transform(one_of({{"fixed", static_cast<int>(Lengths::kFixed)},
                          {"uniform", static_cast<int>(Lengths::kUniform)},
                          {"sharegpt", static_cast<int>(Lengths::kShareGpt)},
                          {"arxiv", static_cast<int>(Lengths::kArxiv)}}))
      ->type_name("NAME");
  add_number("--prompt", shape.prompt_mean, "Tokens of a prompt (fixed), their mean (uniform)");
  add_number("--answer", shape.answer_mean, "Tokens of an answer, the same");
  add_number("--scale", shape.scale, "Shorten sharegpt's and arxiv's lengths to this part");
  add_number("--adapters", shape.adapters, "Adapters a0, a1, ... that requests name; 0: none");
  add_number("--zipf", shape.zipf, "Popularity of the i-th adapter is as 1 / i^zipf");
  add_number("--prefix-levels", shape.prefix_levels,
             "Levels of a tree of shared beginnings; 0: none");
  add_number("--prefix-fanout", shape.prefix_fanout, "Beginnings that go on from each");
  add_number("--prefix-tokens", shape.prefix_tokens,
             "Tokens of each level, before the prompt's own");
}

void declare_replay_trace(CLI::App& app, Parsed& parsed) {
  ReplayTraceCommand& replay = parsed.replay_trace;
  CLI::App* command = add_command(app, "replay-trace", "Requests over time, and how long they took",
                                  "replay-trace", parsed, &Parsed::replay_trace);
  CLI::Option* file = command->add_option("FILE", replay.file, "A trace: one JSON object a line");
  CLI::Option* generate =
      command->add_flag("--generate", replay.generate, "Make the trace instead of reading one");
  generate->excludes(file);
  command
      ->add_option("-o,--out", replay.out, "Write the generated trace and run nothing; -: stdout")
      ->type_name("FILE")
      ->needs(generate);
  command
      ->add_option("-m,--manifest", replay.manifests,
                   "What to assemble; several are run in turns, A B A B; default: the built-in one")
      ->type_name("FILE")
      ->take_all();
  command
      ->add_option("--rounds", replay.rounds,
                   "Repetitions; medians are printed" + default_of(replay.rounds))
      ->check(CLI::Range(1, 1000));
  command
      ->add_option("--speed", replay.speed,
                   "Arrivals come this many times faster" + default_of(replay.speed))
      ->check(CLI::Range(0.001, 1e6));
  command
      ->add_option("--slo-ttft", replay.bounds.ttft,
                   "Bound of goodput: seconds to the first token; default none")
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--slo-tpot", replay.bounds.tpot,
                   "Bound of goodput: seconds per output token; default none")
      ->check(CLI::PositiveNumber);
  command->add_flag("--json", replay.json, "Print one JSON object at the end");
  add_engine_numbers(*command, replay.engine);
  command
      ->add_option("--adapter", replay.engine.adapters,
                   "Loads an adapter for the rows that name it; may be repeated")
      ->type_name("NAME|FOLDER|NAME=FOLDER")
      ->take_all();
  command->add_flag("--ignore-adapters", replay.ignore_adapters,
                    "The base model answers, whatever the rows name");
  replay.engine.one_adapter = false;
  add_trace_shape(*command, replay.shape, generate);
}

void declare_looking(CLI::App& app, Parsed& parsed) {
  CLI::App* inspect = add_command(app, "inspect", "What a plugin, a model or a manifest contains",
                                  "inspect", parsed, &Parsed::inspect);
  inspect->add_option("FILE", parsed.inspect.file, "A .so, .gguf, .textproto or .json")->required();
  inspect->add_flag("--tensors", parsed.inspect.tensors, "Every tensor of a model");
  inspect->add_flag("--json", parsed.inspect.json, "Print JSON");

  CLI::App* manifest = app.add_subcommand("manifest", "Manifests: check");
  manifest->footer(std::string(examples_of("manifest")));
  manifest->require_subcommand(1);
  ManifestCheckCommand& check = parsed.manifest_check;
  CLI::App* checked = add_command(*manifest, "check", "Would this load? Nothing is loaded",
                                  "manifest check", parsed, &Parsed::manifest_check);
  checked->add_option("FILE", check.file, "A manifest")->required();
  checked->add_flag("--json", check.json, "Print JSON, errors included");
  add_plugin_dirs(*checked, check.plugin_dirs);

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

void declare_model(CLI::App& app, Parsed& parsed) {
  CLI::App* model = app.add_subcommand("model", "Models known by name: list, pull");
  model->footer(std::string(examples_of("model")));
  model->require_subcommand(1);
  CLI::App* list = add_command(*model, "list", "Show the known models and which are here",
                               "model list", parsed, &Parsed::model_list);
  list->add_flag("--json", parsed.model_list.json, "Print JSON");
  CLI::App* pull = add_command(*model, "pull", "Fetch a model and print its path", "model pull",
                               parsed, &Parsed::model_pull);
  pull->add_option("NAME", parsed.model_pull.name, "A name that `tenon model list` shows")
      ->required();
  pull->add_flag("--json", parsed.model_pull.json, "Print JSON, errors included");
}

void declare_adapter(CLI::App& app, Parsed& parsed) {
  CLI::App* adapter = app.add_subcommand("adapter", "Adapters that are kept: list, load, remove");
  adapter->footer(std::string(examples_of("adapter")));
  adapter->require_subcommand(1);
  CLI::App* list = add_command(*adapter, "list", "Show the adapters that are kept", "adapter list",
                               parsed, &Parsed::adapter_list);
  list->add_option("-m,--manifest", parsed.adapter_list.manifest, "And those of this manifest")
      ->type_name("FILE");
  list->add_flag("--json", parsed.adapter_list.json, "Print JSON");
  AdapterLoadCommand& load = parsed.adapter_load;
  CLI::App* loaded = add_command(*adapter, "load", "Check an adapter against a model and keep it",
                                 "adapter load", parsed, &Parsed::adapter_load);
  loaded->add_option("FOLDER", load.folder, "With adapter_config.json and the tensors")->required();
  loaded->add_option("--name", load.name, "What requests call it; default: the folder's name");
  loaded->add_flag("--json", load.json, "Print JSON, errors included");
  add_engine(*loaded, load.engine);
  CLI::App* remove = add_command(*adapter, "remove", "Remove an adapter that is kept",
                                 "adapter remove", parsed, &Parsed::adapter_remove);
  remove->add_option("NAME", parsed.adapter_remove.name, "As `tenon adapter list` shows")
      ->required();
  remove->add_flag("--json", parsed.adapter_remove.json, "Print JSON, errors included");
}

void declare(CLI::App& app, Parsed& parsed) {
  app.require_subcommand(1);
  app.set_help_flag("-h,--help", "Print this help");
  declare_run(app, parsed);
  declare_score(app, parsed);
  declare_bench(app, parsed);
  declare_replay_trace(app, parsed);
  declare_looking(app, parsed);
  declare_model(app, parsed);
  declare_adapter(app, parsed);
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
