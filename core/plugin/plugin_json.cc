#include <nlohmann/json.hpp>

#include "core/plugin/elf_rules.h"
#include "core/plugin/reference_page.h"

namespace tenon {
namespace {

using nlohmann::ordered_json;

ordered_json value_json(const ParamValue& value) {
  return std::visit([](const auto& inside) { return ordered_json(inside); }, value);
}

ordered_json spec_json(const ParamSpec& spec) {
  ordered_json out = {{"key", spec.key}, {"type", param_type_name(spec.type)}};
  out["required"] = spec.required;
  if (spec.default_value) out["default"] = value_json(*spec.default_value);
  if (spec.min_int) out["min"] = *spec.min_int;
  if (spec.max_int) out["max"] = *spec.max_int;
  if (spec.min_double) out["min"] = *spec.min_double;
  if (spec.max_double) out["max"] = *spec.max_double;
  if (!spec.values.empty()) out["values"] = spec.values;
  out["unit"] = spec.unit;
  out["doc"] = spec.doc;
  return out;
}

ordered_json wishes_json(const std::vector<Wish>& wishes) {
  ordered_json out = ordered_json::array();
  for (const Wish& wish : wishes) out.push_back({{"claim", wish.claim}, {"reason", wish.reason}});
  return out;
}

ordered_json rules_json(const std::vector<ParamRule>& rules) {
  ordered_json out = ordered_json::array();
  for (const ParamRule& rule : rules) out.push_back({{"when", rule.when}, {"refuse", rule.refuse}});
  return out;
}

}  // namespace

std::string plugin_json(const PluginFile& file) {
  const PluginDescriptor& plugin = file.descriptor;
  ordered_json out = {
      {"id", plugin.id},
      {"kind", plugin.kind},
      {"version", plugin.version},
      {"title", plugin.title},
      {"license", plugin.license},
      {"paper", {{"title", plugin.paper_title}, {"reference", plugin.paper_reference}}},
      {"abi_epoch", plugin.abi_epoch},
      {"interfaces", plugin.interfaces},
      {"services", plugin.services},
      {"provides", plugin.provided},
      {"requires", plugin.required},
      {"conflicts", plugin.conflicts},
      {"prefers", wishes_json(plugin.prefers)},
      {"avoids", wishes_json(plugin.avoids)},
      {"rules", rules_json(plugin.rules)},
      {"numerics", numerics_name(plugin.numerics)},
      {"oracle", plugin.oracle},
      {"affects_kv", plugin.affects_kv},
      {"params", ordered_json::array()},
      {"file", file.path},
      {"sha256", file.sha256},
      {"exports", file.facts.exports},
      {"needs", file.facts.needed},
      {"glibc", file.facts.glibc},
      {"libstdcxx", file.facts.glibcxx},
      {"at_opening", file.facts.initialisers},
  };
  for (const ParamSpec& spec : plugin.params) out["params"].push_back(spec_json(spec));
  const Status rules = check_elf_rules(file.facts, {}, "");
  out["broken_rule"] = rules.ok() ? ordered_json() : ordered_json(rules.error().to_string());
  return out.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace tenon
