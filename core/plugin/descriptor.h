// What a plugin says of itself, as plain data, read without running its code. The schema is
// sdk/abi/descriptor.proto.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/manifest/param_value.h"

namespace tenon {

enum class ParamType { kBool = 1, kInt64 = 2, kDouble = 3, kString = 4, kEnum = 5 };
enum class Numerics { kUnspecified = 0, kExact = 1, kSplit = 2, kApprox = 3 };

// Coherent once it has been read: it has a default or is required, and the default is of the type
// and in range.
struct ParamSpec {
  std::string key;
  ParamType type = ParamType::kBool;
  std::optional<ParamValue> default_value;
  bool required = false;
  std::optional<std::int64_t> min_int, max_int;
  std::optional<double> min_double, max_double;
  std::vector<std::string> values;
  std::string unit;
  std::string doc;
};

// A claim that only degrades where it is not met, and what the operator loses then.
struct Wish {
  std::string claim;
  std::string reason;
};

// Parameters that cannot be together: refused where the condition holds.
struct ParamRule {
  std::string when;
  std::string refuse;
};

struct PluginDescriptor {
  std::string id;
  std::string kind;  // one of plugin_kinds()
  std::string version;
  std::string title;
  std::string license;
  std::string paper_title;
  std::string paper_reference;
  std::uint32_t abi_epoch = 0;
  std::vector<std::string> interfaces;
  std::vector<std::string> services;
  // The contract, as written (core/plugin/claim.h). Of the right form once it has been read;
  // whether the words exist is asked when a manifest is composed.
  std::vector<std::string> provided;  // the schema's provides, requires, conflicts
  std::vector<std::string> required;
  std::vector<std::string> conflicts;
  std::vector<Wish> prefers;
  std::vector<Wish> avoids;
  Numerics numerics = Numerics::kUnspecified;
  std::string oracle;
  bool affects_kv = false;
  std::vector<ParamSpec> params;
  std::vector<ParamRule> rules;
};

const std::vector<std::string>& plugin_kinds();
// Lower-case words joined by dots, at least two: "tenon.scheduler.fcfs".
bool is_plugin_id(std::string_view id);
std::string list_text(const std::vector<std::string>& items);  // "a, b, c"
const char* param_type_name(ParamType type);                   // "bool", "int64", ...
const char* numerics_name(Numerics numerics);  // "exact", "split", "approx", "unspecified"

// Of the serialised message. TENON-P005: no such message; P006: incoherent; P007: unknown kind;
// P008: other epoch.
Result<PluginDescriptor> parse_descriptor(std::string_view bytes, const std::string& where);
// Of a plugin.textproto.
Result<PluginDescriptor> parse_descriptor_text(std::string_view text, const std::string& where);
// Of a library's section .tenon.plugin; the library is not opened.
Result<PluginDescriptor> read_descriptor(const std::string& path);

// Does a value, already of the spec's type, keep to its range or list? Used for defaults and for
// manifests.
Status check_param_value(const ParamSpec& spec, const ParamValue& value, const std::string& where);

}  // namespace tenon
