#include "core/plugin/descriptor.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <span>

#include "core/base/suggest.h"
#include "core/manifest/version.h"
#include "core/plugin/claim.h"
#include "core/plugin/descriptor_wire.h"
#include "core/plugin/plugin_file.h"
#include "tenon/abi/abi.h"

namespace tenon {
namespace {

constexpr std::size_t kMaxBytes = 64 << 10;

Error incoherent(const std::string& where, std::string what) {
  return Error{.code = Code::kInvalidArgument,
               .id = "TENON-P006",
               .message = "the descriptor is not coherent: " + std::move(what),
               .where = where,
               .fix = "the plugin's author must correct plugin.textproto"};
}

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Lower case words joined by dots, at least two: "tenon.scheduler.fcfs".
bool is_id(std::string_view id) {
  bool dotted = false;
  char before = '.';
  for (const char c : id) {
    if (before == '.' && !is_lower(c)) return false;
    if (!is_lower(c) && !is_digit(c) && c != '.' && c != '-' && c != '_') return false;
    dotted = dotted || c == '.';
    before = c;
  }
  return dotted && before != '.';
}

bool is_key(std::string_view key) {
  return !key.empty() && is_lower(key.front()) && std::all_of(key.begin(), key.end(), [](char c) {
    return is_lower(c) || is_digit(c) || c == '_';
  });
}

Error out_of_range(const ParamSpec& spec, const ParamValue& value, const std::string& where,
                   const std::string& low, const std::string& high) {
  return Error{.code = Code::kOutOfRange,
               .id = "TENON-P012",
               .message = "parameter \"" + spec.key + "\" is out of range",
               .where = where,
               .found = param_value_text(value),
               .expected = low + " .. " + high + (spec.unit.empty() ? "" : " " + spec.unit)};
}

template <class T>
std::string bound_text(const std::optional<T>& bound) {
  return bound ? param_value_text(ParamValue(*bound)) : std::string("any");
}

// The alternative of ParamValue that a type is kept in.
std::size_t index_of(ParamType type) {
  return type == ParamType::kEnum ? 3 : static_cast<std::size_t>(type) - 1;
}

Status check_limits(const ParamSpec& spec, const std::string& where) {
  const std::string name = "parameter \"" + spec.key + "\" ";
  if (spec.type != ParamType::kInt64 && (spec.min_int || spec.max_int))
    return incoherent(where, name + "has min_int or max_int but is no INT64");
  if (spec.type != ParamType::kDouble && (spec.min_double || spec.max_double))
    return incoherent(where, name + "has min_double or max_double but is no DOUBLE");
  if ((spec.type == ParamType::kEnum) == spec.values.empty())
    return incoherent(where, name + "must have values exactly if it is an ENUM");
  if (spec.min_int && spec.max_int && *spec.min_int > *spec.max_int)
    return incoherent(where, name + "has min_int above max_int");
  for (const std::optional<double>& bound : {spec.min_double, spec.max_double})
    if (bound && !std::isfinite(*bound))
      return incoherent(where, name + "has a bound that is not finite");
  if (spec.min_double && spec.max_double && *spec.min_double > *spec.max_double)
    return incoherent(where, name + "has min_double above max_double");
  return {};
}

Status check_spec(const ParamSpec& spec, const std::string& where) {
  if (!is_key(spec.key))
    return incoherent(where, "parameter key \"" + spec.key + "\" is not snake_case");
  const std::string name = "parameter \"" + spec.key + "\" ";
  if (spec.type < ParamType::kBool || spec.type > ParamType::kEnum)
    return incoherent(where, name + "has no type that this host knows");
  TENON_TRY(check_limits(spec, where));
  if (spec.default_value.has_value() == spec.required)
    return incoherent(where, name + "must have a default or be required, one of the two");
  if (spec.required) return {};
  if (spec.default_value->index() != index_of(spec.type))
    return incoherent(where,
                      name + "has a default of another type than " + param_type_name(spec.type));
  if (const Status inside = check_param_value(spec, *spec.default_value, where); !inside.ok())
    return incoherent(where, name + "has a default that it would itself refuse: " +
                                 param_value_text(*spec.default_value));
  return {};
}

Status check_identity(const PluginDescriptor& descriptor, const std::string& where) {
  if (!is_id(descriptor.id))
    return incoherent(where,
                      "id \"" + descriptor.id + "\" is not of the form \"tenon.scheduler.fcfs\"");
  if (!parse_version(descriptor.version))
    return incoherent(where, "version \"" + descriptor.version + "\" is not of the form \"1.2.3\"");
  if (descriptor.abi_epoch != TENON_ABI_EPOCH)
    return Error{.code = Code::kFailedPrecondition,
                 .id = "TENON-P008",
                 .message = descriptor.id + " is built for another epoch of the plugin boundary",
                 .where = where,
                 .found = "abi_epoch " + std::to_string(descriptor.abi_epoch),
                 .expected = "abi_epoch " + std::to_string(TENON_ABI_EPOCH),
                 .fix = "build the plugin against this host's SDK"};
  const std::vector<std::string>& kinds = plugin_kinds();
  if (std::find(kinds.begin(), kinds.end(), descriptor.kind) == kinds.end())
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-P007",
                 .message = descriptor.id + " is of an unknown kind",
                 .where = where,
                 .found = "\"" + descriptor.kind + "\"",
                 .fix = suggest_fix(descriptor.kind, kinds)};
  const std::string prefix = "tenon." + descriptor.kind + "/";
  if (std::none_of(descriptor.interfaces.begin(), descriptor.interfaces.end(),
                   [&](const std::string& id) { return id.starts_with(prefix); }))
    return incoherent(where, "interfaces lists no " + prefix + "N");
  return {};
}

// The form of claims and rules; what they mean is core/plugin/contract.h.
Status check_contract(const PluginDescriptor& descriptor, const std::string& where) {
  const auto check_wishes = [&](const std::vector<Wish>& wishes) -> Status {
    for (const Wish& wish : wishes) {
      TENON_TRY(parse_claim(wish.claim, descriptor.params, where));
      if (wish.reason.empty())
        return incoherent(where, "\"" + wish.claim + "\" is preferred or avoided without a reason");
    }
    return {};
  };
  for (const auto* list : {&descriptor.provided, &descriptor.required, &descriptor.conflicts})
    for (const std::string& claim : *list) TENON_TRY(parse_claim(claim, descriptor.params, where));
  TENON_TRY(check_wishes(descriptor.prefers));
  TENON_TRY(check_wishes(descriptor.avoids));
  for (const ParamRule& rule : descriptor.rules) {
    TENON_TRY(parse_condition(rule.when, descriptor.params, where));
    if (rule.refuse.empty())
      return incoherent(where, "the rule \"" + rule.when + "\" does not say why it refuses");
  }
  return {};
}

Result<PluginDescriptor> checked(PluginDescriptor descriptor, const std::string& where) {
  TENON_TRY(check_identity(descriptor, where));
  std::set<std::string_view> keys;
  for (const ParamSpec& spec : descriptor.params) {
    TENON_TRY(check_spec(spec, where));
    if (!keys.insert(spec.key).second)
      return incoherent(where, "parameter \"" + spec.key + "\" is listed twice");
  }
  TENON_TRY(check_contract(descriptor, where));
  return descriptor;
}

Error no_message(const std::string& where, std::string what) {
  return Error{.code = Code::kDataLoss,
               .id = "TENON-P005",
               .message = "the descriptor is not a tenon.plugin.v1.Descriptor",
               .where = where,
               .found = std::move(what),
               .fix = "build the plugin with tenon_add_plugin() of the SDK"};
}

}  // namespace

const std::vector<std::string>& plugin_kinds() {
  static const std::vector<std::string> kinds = {"scheduler", "attention", "model",       "backend",
                                                 "cache",     "adapter",   "parallelism", "comm"};
  return kinds;
}

bool is_plugin_id(std::string_view id) { return is_id(id); }

std::string list_text(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) out += (out.empty() ? "" : ", ") + item;
  return out;
}

const char* param_type_name(ParamType type) {
  static constexpr const char* kNames[] = {"bool", "int64", "double", "string", "enum"};
  const auto index = static_cast<std::size_t>(type) - 1;
  return index < std::size(kNames) ? kNames[index] : "unknown";
}

const char* numerics_name(Numerics numerics) {
  static constexpr const char* kNames[] = {"unspecified", "exact", "split", "approx"};
  const auto index = static_cast<std::size_t>(numerics);
  return index < std::size(kNames) ? kNames[index] : "unspecified";
}

Status check_param_value(const ParamSpec& spec, const ParamValue& value, const std::string& where) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    if ((spec.min_int && *number < *spec.min_int) || (spec.max_int && *number > *spec.max_int))
      return out_of_range(spec, value, where, bound_text(spec.min_int), bound_text(spec.max_int));
  } else if (const auto* real = std::get_if<double>(&value)) {
    if (!std::isfinite(*real) || (spec.min_double && *real < *spec.min_double) ||
        (spec.max_double && *real > *spec.max_double))
      return out_of_range(spec, value, where, bound_text(spec.min_double),
                          bound_text(spec.max_double));
  } else if (const auto* text = std::get_if<std::string>(&value);
             text != nullptr && spec.type == ParamType::kEnum) {
    if (std::find(spec.values.begin(), spec.values.end(), *text) == spec.values.end())
      return Error{.code = Code::kInvalidArgument,
                   .id = "TENON-P013",
                   .message = "parameter \"" + spec.key + "\" has no such value",
                   .where = where,
                   .found = param_value_text(value),
                   .fix = suggest_fix(*text, spec.values)};
  }
  return {};
}

Result<PluginDescriptor> parse_descriptor(std::string_view bytes, const std::string& where) {
  PluginDescriptor out;
  if (bytes.size() > kMaxBytes) return no_message(where, std::to_string(bytes.size()) + " bytes");
  if (bytes.empty() || !descriptor_wire::decode(bytes, out))
    return no_message(where, std::to_string(bytes.size()) + " bytes of something else");
  return checked(std::move(out), where);
}

Result<PluginDescriptor> parse_descriptor_text(std::string_view text, const std::string& where) {
  PluginDescriptor out;
  std::string problem;
  if (!descriptor_wire::decode_text(text, out, problem)) return no_message(where, problem);
  return checked(std::move(out), where);
}

Result<PluginDescriptor> read_descriptor(const std::string& path) {
  TENON_ASSIGN(PluginFile file, read_plugin_file(path));
  return std::move(file.descriptor);
}

}  // namespace tenon
