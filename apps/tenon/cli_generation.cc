// run, score, bench and replay-trace: the commands that compute.
#include <sstream>
#include <utility>

#include "apps/tenon/cli_parts.h"

namespace tenon::app {
namespace {

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
  command.add_flag("--check-boundary", out.check_boundary,
                   "Check every call between the core and a plugin; a plugin's mistake is named");
  command.add_flag("--no-prepack", out.no_prepack,
                   "Neither read nor write a file of packed weights: for one use of a model");
  command.add_flag("--profile", out.profile,
                   "Print at the end where the time went, by plugin and call");
  command.add_option("--profile-json", out.profile_json, "Write the same as JSON")
      ->type_name("FILE");
  command.add_option("--trace", out.trace, "Write a trace of every step for ui.perfetto.dev")
      ->type_name("FILE");
  add_plugin_dirs(command, out.plugin_dirs);
  add_allow_untested(command, out.allow_untested);
}

void add_adapters(CLI::App& command, EngineChoice& out) {
  command
      .add_option("--adapter", out.adapters,
                  "Loads an adapter; requests use it unless it is NAME=FOLDER beside others")
      ->type_name("NAME|FOLDER|NAME=FOLDER")
      ->take_all()
      ->allow_extra_args(false);
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
      ->take_all()
      ->allow_extra_args(false);
  command.add_option("--seed", out.seed, "The same seed gives the same answer");
  command.add_option("--stop", out.stop, "End before this text; may be repeated")
      ->type_name("TEXT")
      ->take_all()
      ->allow_extra_args(false);
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
  const auto add_list = [&](const char* name, std::vector<std::int64_t>& out, const char* what,
                            const CLI::Range& range) {
    command->add_option(name, out, what)
        ->delimiter(',')
        ->check(range)
        ->allow_extra_args(false)
        ->type_name("N[,N...]");
  };
  const CLI::Range tokens(0, kMaxTokens);
  add_list("--prompt", bench.prompt, "Tokens to read, timed; default 512", tokens);
  add_list("--gen", bench.gen, "Tokens to generate, timed; default 128", tokens);
  add_list("--depth", bench.depth, "Tokens in the cache beforehand; default 0", tokens);
  add_list("--batch", bench.batch, "Sequences at once; default 1", CLI::Range(1, 4096));
  command->add_option("--rounds", bench.rounds, "Repetitions; default 5, of a comparison 10")
      ->check(CLI::Range(1, 1000));
  command
      ->add_option("--warm-up", bench.warm_up,
                   "The most rounds before them; fewer when they agree; default 10")
      ->check(CLI::Range(0, 1000));
  command->add_flag("--json", bench.json, "Print all of it as one JSON object, errors included");
  CLI::Option* limits =
      command->add_flag("--limits", bench.limits, "Measure what the machine can do, and no engine");
  command->add_flag("--no-limits", bench.no_limits, "Do not measure what the machine can do")
      ->excludes(limits);
  command
      ->add_option("--compare", bench.compare,
                   "Compare two results of --json or of a history, FILE or FILE:LINE; measure none")
      ->expected(2)
      ->type_name("A B")
      ->excludes(limits);
  command->add_flag("--arm", bench.arm)->group("");
  add_engine(*command, bench.engine);
  add_adapters(*command, bench.engine);
  const auto add_against = [&](const char* name, std::string& out, const char* what,
                               const char* type) {
    CLI::Option* option = command->add_option(name, out, what);
    option->type_name(type)->group("Comparison")->excludes(limits);
    // They are of one engine, in this process.
    for (const char* other : {"--profile", "--profile-json", "--trace"})
      option->excludes(command->get_option(other));
  };
  add_against("--against", bench.against, "B has this manifest", "FILE");
  add_against("--against-binary", bench.against_binary, "B is this tenon", "FILE");
  add_against("--against-options", bench.against_options,
              "B has these options of an engine over the others", "\"OPTIONS\"");
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
      ->take_all()
      ->allow_extra_args(false);
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
      ->take_all()
      ->allow_extra_args(false);
  command->add_flag("--ignore-adapters", replay.ignore_adapters,
                    "The base model answers, whatever the rows name");
  replay.engine.one_adapter = false;
  add_trace_shape(*command, replay.shape, generate);
}

}  // namespace

void add_engine(CLI::App& command, EngineChoice& out) {
  command.add_option("-m,--manifest", out.manifest, "What to assemble; default: the built-in one")
      ->type_name("FILE");
  add_engine_numbers(command, out);
}

void declare_generation(CLI::App& app, Parsed& parsed) {
  declare_run(app, parsed);
  declare_score(app, parsed);
  declare_bench(app, parsed);
  declare_replay_trace(app, parsed);
}

}  // namespace tenon::app
