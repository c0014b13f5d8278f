#include "targets.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cstdlib>

namespace tenon::lora {
namespace {

// A pattern comes with a file: it must not cost more than a path is worth.
constexpr std::uint32_t kMatchLimit = 100'000, kDepthLimit = 1'000;

bool ends_with_part(std::string_view module, std::string_view name) {
  return module == name || (module.size() > name.size() && module.ends_with(name) &&
                            module[module.size() - name.size() - 1] == '.');
}

}  // namespace

struct Pattern::Code {
  pcre2_code* compiled = nullptr;
  pcre2_match_context* limits = nullptr;
  Code() = default;
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() {
    pcre2_code_free(compiled);
    pcre2_match_context_free(limits);
  }

  struct Match {
    pcre2_match_data* data;
    int groups;  // below 0: none
    ~Match() { pcre2_match_data_free(data); }
  };
  Match match(std::string_view path, std::uint32_t options) const {
    pcre2_match_data* data = pcre2_match_data_create_from_pattern(compiled, nullptr);
    if (data == nullptr) throw std::bad_alloc();
    return {data, pcre2_match(compiled, reinterpret_cast<PCRE2_SPTR>(path.data()), path.size(), 0,
                              PCRE2_ANCHORED | options, data, limits)};
  }
};

sdk::Status Pattern::compile(const std::string& field, const std::string& text, Pattern& out) {
  auto code = std::make_shared<Code>();
  int error = 0;
  PCRE2_SIZE at = 0;
  code->compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                 PCRE2_NEVER_BACKSLASH_C, &error, &at, nullptr);
  if (code->compiled == nullptr) {
    PCRE2_UCHAR message[128] = {};
    pcre2_get_error_message(error, message, sizeof message);
    return sdk::invalid_argument("adapter_config.json: " + field + " is no regular expression: " +
                                 reinterpret_cast<const char*>(message) + " at " +
                                 std::to_string(at) + " in \"" + text + "\"");
  }
  code->limits = pcre2_match_context_create(nullptr);
  if (code->limits == nullptr) throw std::bad_alloc();
  pcre2_set_match_limit(code->limits, kMatchLimit);
  pcre2_set_depth_limit(code->limits, kDepthLimit);
  out.code_ = std::move(code);
  return {};
}

bool Pattern::matches(std::string_view path) const {
  return code_->match(path, PCRE2_ENDANCHORED).groups > 0;
}

std::optional<std::int64_t> Pattern::index_in(std::string_view path) const {
  const Code::Match match = code_->match(path, 0);
  if (match.groups <= 0) return std::nullopt;
  PCRE2_UCHAR* text = nullptr;
  PCRE2_SIZE length = 0;
  if (pcre2_substring_get_byname(match.data, reinterpret_cast<PCRE2_SPTR>("idx"), &text, &length) !=
      0)
    return std::nullopt;
  const std::int64_t index = std::strtoll(reinterpret_cast<const char*>(text), nullptr, 10);
  pcre2_substring_free(text);
  return index;
}

bool ModuleNames::contains(std::string_view module) const {
  if (all_linear) return !ends_with_part(module, "lm_head");
  if (pattern) return pattern->matches(module);
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return ends_with_part(module, name); });
}

bool Targets::contains(std::string_view module) const {
  if (exclude.contains(module) || !include.contains(module)) return false;
  // A name in full is meant whatever its layer; an expression says its layers itself.
  if (layers.empty() || include.pattern || include.all_linear ||
      std::find(include.names.begin(), include.names.end(), module) != include.names.end())
    return true;
  for (const Pattern& path : layer_paths)
    if (const std::optional<std::int64_t> layer = path.index_in(module))
      return std::find(layers.begin(), layers.end(), *layer) != layers.end();
  return false;
}

}  // namespace tenon::lora
