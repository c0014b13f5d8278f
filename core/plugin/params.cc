#include "core/plugin/params.h"

#include <algorithm>

#include "core/base/suggest.h"
#include "core/plugin/claim.h"

namespace tenon {
namespace {

tenon_param boundary_form(const ResolvedParam& param) {
  tenon_param out{};
  out.key = {param.key.data(), param.key.size()};
  out.type =
      static_cast<std::int32_t>(param.type == ParamType::kEnum ? ParamType::kString : param.type);
  if (const bool* b = std::get_if<bool>(&param.value))
    out.value.i = *b ? 1 : 0;
  else if (const std::int64_t* i = std::get_if<std::int64_t>(&param.value))
    out.value.i = *i;
  else if (const double* d = std::get_if<double>(&param.value))
    out.value.d = *d;
  else if (const std::string* s = std::get_if<std::string>(&param.value))
    out.value.s = {s->data(), s->size()};
  return out;
}

static_assert(TENON_PARAM_TYPE_BOOL == static_cast<int>(ParamType::kBool));
static_assert(TENON_PARAM_TYPE_INT64 == static_cast<int>(ParamType::kInt64));
static_assert(TENON_PARAM_TYPE_DOUBLE == static_cast<int>(ParamType::kDouble));
static_assert(TENON_PARAM_TYPE_STRING == static_cast<int>(ParamType::kString));

// How a manifest writes a value of this type.
const char* written_as(ParamType type) {
  switch (type) {
    case ParamType::kBool:
      return "bool, written b: true";
    case ParamType::kInt64:
      return "int64, written i: 1";
    case ParamType::kDouble:
      return "double, written d: 0.5";
    case ParamType::kString:
      return "string, written s: \"text\"";
    case ParamType::kEnum:
      return "enum, written s: \"name\"";
  }
  return "unknown";
}

const char* kind_of(const ParamValue& value) {
  static constexpr const char* kNames[] = {"bool ", "int64 ", "double ", "string "};
  return kNames[value.index()];
}

// The value in the type of its spec; an integer will do for a double.
Result<ParamValue> typed(const ParamSpec& spec, const ManifestParam& given) {
  const std::size_t wanted =
      spec.type == ParamType::kEnum ? 3 : static_cast<std::size_t>(spec.type) - 1;
  if (given.value.index() == wanted) return given.value;
  if (spec.type == ParamType::kDouble && std::holds_alternative<std::int64_t>(given.value))
    return ParamValue(static_cast<double>(std::get<std::int64_t>(given.value)));
  return Error{.code = Code::kInvalidArgument,
               .id = "TENON-P011",
               .message = "parameter \"" + given.key + "\" is of the wrong type",
               .where = given.where,
               .found = kind_of(given.value) + param_value_text(given.value),
               .expected = written_as(spec.type)};
}

Status check_keys(const PluginDescriptor& descriptor, const std::vector<ManifestParam>& given) {
  std::vector<std::string> known;
  for (const ParamSpec& spec : descriptor.params) known.push_back(spec.key);
  for (const ManifestParam& param : given)
    if (std::find(known.begin(), known.end(), param.key) == known.end())
      return Error{.code = Code::kInvalidArgument,
                   .id = "TENON-P010",
                   .message = "parameter \"" + param.key + "\" is unknown to " + descriptor.id +
                              " " + descriptor.version,
                   .where = param.where,
                   .fix = suggest_fix(param.key, known)};
  return {};
}

Status check_rules(const PluginDescriptor& descriptor, const ResolvedParams& params,
                   const std::string& where) {
  for (const ParamRule& rule : descriptor.rules) {
    TENON_ASSIGN(const Condition condition,
                 parse_condition(rule.when, descriptor.params, descriptor.id));
    if (!holds(condition, params)) continue;
    return Error{
        .code = Code::kInvalidArgument,
        .id = "TENON-P060",
        .message = descriptor.id + " cannot work with these parameters together: " + rule.refuse,
        .where = where,
        .found = values_text(condition, params),
        .expected = "not " + rule.when,
        .fix = "change one of them"};
  }
  return {};
}

}  // namespace

ResolvedParams::ResolvedParams(std::vector<ResolvedParam> values) : values_(std::move(values)) {
  for (const ResolvedParam& param : values_) table_.push_back(boundary_form(param));
}

const ParamValue* ResolvedParams::find(std::string_view key) const {
  for (const ResolvedParam& param : values_)
    if (param.key == key) return &param.value;
  return nullptr;
}

std::string ResolvedParams::canonical_text() const {
  std::string out;
  for (const ResolvedParam& param : values_)
    out += param.key + ": " + param_value_text(param.value) + "\n";
  return out;
}

Result<ResolvedParams> resolve_params(const PluginDescriptor& descriptor,
                                      const std::vector<ManifestParam>& given,
                                      const std::string& where) {
  TENON_TRY(check_keys(descriptor, given));
  std::vector<ResolvedParam> values;
  for (const ParamSpec& spec : descriptor.params) {
    const auto at = std::find_if(given.begin(), given.end(),
                                 [&](const ManifestParam& param) { return param.key == spec.key; });
    if (at != given.end()) {
      TENON_ASSIGN(ParamValue value, typed(spec, *at));
      TENON_TRY(check_param_value(spec, value, at->where));
      values.push_back({spec.key, spec.type, std::move(value)});
    } else if (spec.default_value) {
      values.push_back({spec.key, spec.type, *spec.default_value});
    } else {
      return Error{.code = Code::kInvalidArgument,
                   .id = "TENON-P014",
                   .message = descriptor.id + " needs parameter \"" + spec.key + "\"",
                   .where = where,
                   .expected = written_as(spec.type),
                   .fix = "add param { key: \"" + spec.key + "\" ... }; " + spec.doc};
    }
  }
  ResolvedParams out(std::move(values));
  TENON_TRY(check_rules(descriptor, out, where));
  return out;
}

}  // namespace tenon
