#include "config.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace tenon::lora {
namespace {

using Json = nlohmann::ordered_json;  // pattern tables are tried in the file's order
using sdk::Status;

constexpr std::int64_t kMostRank = 4096;

// What they say has been done, or concerns training alone.
constexpr std::array kIrrelevant = {
    "auto_mapping", "base_model_name_or_path", "revision", "task_type", "inference_mode",
    "lora_dropout", "megatron_core", "peft_version", "eva_config", "runtime_config",
    "ensure_weight_tying",
    // Where the base is kept [in, out]: the factors are [r, in] and [out, r] all the same.
    "fan_in_fan_out",
    // Counts only with use_qalora, which is refused.
    "qalora_group_size"};
constexpr std::array kRead = {"peft_type",
                              "r",
                              "lora_alpha",
                              "use_rslora",
                              "target_modules",
                              "exclude_modules",
                              "layers_to_transform",
                              "layers_pattern",
                              "rank_pattern",
                              "alpha_pattern",
                              "bias",
                              "init_lora_weights"};

Status bad(const std::string& field, const std::string& found, const std::string& expected) {
  return sdk::invalid_argument("adapter_config.json: " + field + " is " + found + "; expected " +
                               expected);
}

constexpr int kDeepest = 32;  // of lists and tables in each other

std::string text_of(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 80) text = text.substr(0, 77) + "...";
  return text;
}

bool says_nothing(const Json& value) {
  return value.is_null() || value == false ||
         ((value.is_object() || value.is_array() || value.is_string()) && value.empty()) ||
         value == "";
}

template <std::size_t N>
bool in(const std::array<const char*, N>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

Status read_rank(const std::string& field, const Json& value, std::int64_t& out) {
  if (!value.is_number_integer() || value < 1 || value > kMostRank)
    return bad(field, text_of(value), "a whole number from 1 to " + std::to_string(kMostRank));
  out = value.get<std::int64_t>();
  return {};
}

Status read_alpha(const std::string& field, const Json& value, double& out) {
  if (!value.is_number() || !(std::abs(value.get<double>()) <= 1e6))
    return bad(field, text_of(value), "a number");
  out = value.get<double>();
  return {};
}

Status read_flag(const std::string& field, const Json& value, bool& out) {
  if (value.is_null()) return {};
  if (!value.is_boolean()) return bad(field, text_of(value), "true or false");
  out = value.get<bool>();
  return {};
}

Status read_strings(const std::string& field, const Json& value, std::vector<std::string>& out) {
  const bool strings =
      value.is_array() &&
      std::all_of(value.begin(), value.end(), [](const Json& each) { return each.is_string(); });
  if (!strings) return bad(field, text_of(value), "a string or a list of strings");
  out = value.get<std::vector<std::string>>();
  return {};
}

Status read_modules(const std::string& field, const Json& value, ModuleNames& out) {
  if (value.is_null()) return {};
  if (!value.is_string()) return read_strings(field, value, out.names);
  const auto text = value.get<std::string>();
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (field == "target_modules" && lower == "all-linear") {
    out.all_linear = true;
    return {};
  }
  return Pattern::compile(field, text, out.pattern.emplace());
}

template <class T>
Status read_table(const std::string& field, const Json& value, PatternTable<T>& out,
                  Status (*read)(const std::string&, const Json&, T&)) {
  if (says_nothing(value)) return {};
  if (!value.is_object()) return bad(field, text_of(value), "a table of modules");
  for (const auto& [key, entry] : value.items()) {
    auto& [pattern, number] = out.entries.emplace_back();
    TENON_SDK_TRY(Pattern::compile(field, "(?:.*\\.)?(?:" + key + ")", pattern));
    TENON_SDK_TRY(read(field + "[\"" + key + "\"]", entry, number));
  }
  return {};
}

Status read_layers(const Json& config, Targets& out) {
  const Json layers = config.value("layers_to_transform", Json());
  if (layers.is_number_integer()) {
    out.layers = {layers.get<std::int64_t>()};
  } else if (layers.is_array() && std::all_of(layers.begin(), layers.end(), [](const Json& each) {
               return each.is_number_integer();
             })) {
    out.layers = layers.get<std::vector<std::int64_t>>();
  } else if (!layers.is_null()) {
    return bad("layers_to_transform", text_of(layers), "a number or a list of numbers");
  }
  const Json given = config.value("layers_pattern", Json());
  std::vector<std::string> patterns;
  if (given.is_string() && !given.empty() && given != "")
    patterns = {given.get<std::string>()};
  else if (!says_nothing(given))
    TENON_SDK_TRY(read_strings("layers_pattern", given, patterns));
  for (std::string& pattern : patterns) pattern = "(?:^|.*?\\.)" + pattern;
  if (patterns.empty()) patterns = {".*?\\.[^.]*"};
  for (const std::string& pattern : patterns)
    TENON_SDK_TRY(Pattern::compile("layers_pattern", pattern + "\\.(?P<idx>\\d+)\\.",
                                   out.layer_paths.emplace_back()));
  return {};
}

// Some ways to begin training change the base as well; their factors fit only that one.
Status check_init(const Json& value) {
  if (value.is_null() || value.is_boolean()) return {};
  if (value == "gaussian" || value == "eva" || value == "orthogonal") return {};
  return bad(
      "init_lora_weights", text_of(value),
      "true, false, \"gaussian\", \"eva\" or \"orthogonal\": with others the base is changed "
      "as well; save with path_initial_model_for_weight_conversion");
}

Status check_fields(const Json& config) {
  if (const Json type = config.value("peft_type", Json()); type != "LORA")
    return bad("peft_type", text_of(type), "\"LORA\"; this plugin applies no other");
  if (const Json bias = config.value("bias", Json("none")); bias != "none" && !bias.is_null())
    return bad("bias", text_of(bias), "\"none\": biases of the base are not changed");
  TENON_SDK_TRY(check_init(config.value("init_lora_weights", Json())));
  for (const auto& [key, value] : config.items())
    if (!in(kRead, key) && !in(kIrrelevant, key) && !says_nothing(value))
      return sdk::unimplemented("adapter_config.json: " + key + " is " + text_of(value) +
                                ", which tenon.adapter.lora does not apply");
  return {};
}

}  // namespace

Status parse_config(std::string_view text, Config& out) {
  // What is nested deeper could only be named by running down all of it.
  struct TooDeep {};
  const auto shallow = [](int depth, Json::parse_event_t, Json&) {
    if (depth > kDeepest) throw TooDeep();
    return true;
  };
  Json config;
  try {
    config = Json::parse(text.begin(), text.end(), shallow, false);
  } catch (const TooDeep&) {
    return sdk::invalid_argument("adapter_config.json is nested more than " +
                                 std::to_string(kDeepest) + " deep");
  }
  if (config.is_discarded() || !config.is_object())
    return sdk::invalid_argument("adapter_config.json is no JSON object");
  TENON_SDK_TRY(check_fields(config));
  TENON_SDK_TRY(read_rank("r", config.value("r", Json()), out.rank));
  TENON_SDK_TRY(read_alpha("lora_alpha", config.value("lora_alpha", Json()), out.alpha));
  TENON_SDK_TRY(read_flag("use_rslora", config.value("use_rslora", Json()), out.rslora));
  TENON_SDK_TRY(
      read_modules("target_modules", config.value("target_modules", Json()), out.targets.include));
  TENON_SDK_TRY(read_modules("exclude_modules", config.value("exclude_modules", Json()),
                             out.targets.exclude));
  TENON_SDK_TRY(read_layers(config, out.targets));
  TENON_SDK_TRY(
      read_table("rank_pattern", config.value("rank_pattern", Json()), out.ranks, &read_rank));
  TENON_SDK_TRY(
      read_table("alpha_pattern", config.value("alpha_pattern", Json()), out.alphas, &read_alpha));
  if (const Json base = config.value("base_model_name_or_path", Json()); base.is_string())
    out.base = base.get<std::string>();
  const ModuleNames& include = out.targets.include;
  if (!include.all_linear && !include.pattern && include.names.empty())
    return bad("target_modules", "missing or empty", "names of modules, or an expression");
  return {};
}

}  // namespace tenon::lora
