#include "core/plugin/reference_page.h"

#include <algorithm>

#include "core/plugin/elf_rules.h"

namespace tenon {
namespace {

template <class T>
std::string interval(const std::optional<T>& low, const std::optional<T>& high) {
  if (!low && !high) return "";
  const auto text = [](const std::optional<T>& bound) {
    return bound ? param_value_text(ParamValue(*bound)) : std::string();
  };
  return text(low) + " .. " + text(high);
}

std::string default_text(const ParamSpec& spec) {
  return spec.default_value ? param_value_text(*spec.default_value) : "required";
}

std::string facts(const PluginDescriptor& plugin, const std::string& separator,
                  const std::string& end) {
  std::string out;
  const auto fact = [&](const std::string& name, const std::string& value) {
    if (!value.empty()) out += name + separator + value + end;
  };
  fact("version", plugin.version);
  fact("license", plugin.license);
  fact("paper", plugin.paper_title + (plugin.paper_reference.empty() || plugin.paper_title.empty()
                                          ? plugin.paper_reference
                                          : ", " + plugin.paper_reference));
  fact("interfaces", list_text(plugin.interfaces));
  fact("services", list_text(plugin.services));
  fact("provides", list_text(plugin.provided));
  fact("requires", list_text(plugin.required));
  fact("conflicts", list_text(plugin.conflicts));
  for (const Wish& wish : plugin.prefers) fact("prefers", wish.claim + ", or else: " + wish.reason);
  for (const Wish& wish : plugin.avoids) fact("avoids", wish.claim + ": " + wish.reason);
  for (const ParamRule& rule : plugin.rules) fact("refuses", rule.when + ": " + rule.refuse);
  fact("numerics", numerics_name(plugin.numerics));
  fact("oracle", plugin.oracle);
  fact("affects kv", plugin.affects_kv ? "yes" : "no");
  return out;
}

// Of a library, for a person.
std::string library_facts(const ElfFacts& facts) {
  std::string out = "exports\t" + list_text(facts.exports) + "\n";
  out += "needs\t" + list_text(facts.needed) + "\n";
  if (!facts.glibc.empty()) out += "glibc\tat least " + facts.glibc + "\n";
  if (!facts.glibcxx.empty()) out += "libstdc++\tat least GLIBCXX_" + facts.glibcxx + "\n";
  if (!facts.initialisers.empty()) out += "at opening\t" + list_text(facts.initialisers) + "\n";
  const Status rules = check_elf_rules(facts, {}, "");
  out += "rules\t" + (rules.ok() ? "kept" : rules.error().to_string()) + "\n";
  return out;
}

std::string parameter_table(const PluginDescriptor& plugin) {
  if (plugin.params.empty()) return "No parameters.\n";
  std::string out =
      "| parameter | type | default | range | unit | meaning |\n|---|---|---|---|---|---|\n";
  for (const ParamSpec& spec : plugin.params)
    out += "| `" + spec.key + "` | " + param_type_name(spec.type) + " | " +
           table_cell(default_text(spec)) + " | " + table_cell(param_range_text(spec)) + " | " +
           table_cell(spec.unit) + " | " + table_cell(spec.doc) + " |\n";
  return out;
}

}  // namespace

std::string table_cell(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string param_range_text(const ParamSpec& spec) {
  if (spec.type == ParamType::kEnum) return list_text(spec.values);
  return spec.type == ParamType::kDouble ? interval(spec.min_double, spec.max_double)
                                         : interval(spec.min_int, spec.max_int);
}

std::string plugin_reference_page(std::span<const PluginDescriptor> plugins) {
  std::vector<const PluginDescriptor*> sorted;
  for (const PluginDescriptor& plugin : plugins) sorted.push_back(&plugin);
  std::sort(sorted.begin(), sorted.end(),
            [](const PluginDescriptor* a, const PluginDescriptor* b) { return a->id < b->id; });
  std::string out =
      "# Plugins\n\nGenerated from the plugins' descriptors; do not edit. A manifest sets a "
      "parameter with\n"
      "`param { key: \"name\" i: 64 }` (`b` bool, `i` int64, `d` double, `s` string and enum).\n";
  for (const std::string& kind : plugin_kinds()) {
    bool first = true;
    for (const PluginDescriptor* plugin : sorted) {
      if (plugin->kind != kind) continue;
      if (first) out += "\n## " + kind + "\n";
      first = false;
      out += "\n### " + plugin->id + "\n\n";
      if (!plugin->title.empty()) out += plugin->title + "\n\n";
      out += facts(*plugin, ": ", "  \n") + "\n" + parameter_table(*plugin);
    }
  }
  return out;
}

std::string plugin_text(const PluginFile& file) {
  const PluginDescriptor& plugin = file.descriptor;
  std::string out = plugin.id + " (" + plugin.kind + ")\n";
  if (!plugin.title.empty()) out += "  " + plugin.title + "\n";
  std::string lines = "file\t" + (file.path.empty() ? "built in" : file.path) + "\nsha256\t" +
                      file.sha256 + "\nepoch\t" + std::to_string(plugin.abi_epoch) + "\n" +
                      facts(plugin, "\t", "\n");
  if (!file.path.empty()) lines += library_facts(file.facts);
  for (std::size_t at = 0; at < lines.size();) {
    const std::size_t tab = lines.find('\t', at), end = lines.find('\n', at);
    std::string name = lines.substr(at, tab - at);
    name.resize(12, ' ');
    out += "  " + name + lines.substr(tab + 1, end - tab);
    at = end + 1;
  }
  for (const ParamSpec& spec : plugin.params) {
    const std::string range = param_range_text(spec);
    out += "  param " + spec.key + ": " + param_type_name(spec.type) + ", " +
           (spec.default_value ? "default " : "") + default_text(spec) +
           (range.empty() ? "" : ", " + range) + (spec.unit.empty() ? "" : " " + spec.unit) + "\n";
    if (!spec.doc.empty()) out += "    " + spec.doc + "\n";
  }
  return out;
}

}  // namespace tenon
