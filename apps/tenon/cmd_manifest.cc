// `manifest check`, `explain` and `diff`: whether a choice of plugins fits, why, and what differs.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/tenon/cli.h"
#include "apps/tenon/session.h"
#include "core/format/gguf.h"
#include "core/plugin/explain.h"
#include "core/plugin/manifest_diff.h"
#include "core/plugin/verdict_text.h"

namespace tenon::app {
namespace {

using nlohmann::ordered_json;

void print(const ordered_json& value) {
  std::puts(value.dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
}

// A manifest with all that is known of it without opening a library.
struct Look {
  Manifest manifest;
  PluginCatalog catalog;
  Assembly assembly;
  std::optional<std::string> model_path;
  std::string architecture;  // of the model's file; empty: not here, or the file does not say
};

Result<Look> look_at(const std::string& file, const std::vector<std::string>& plugin_dirs,
                     bool with_model) {
  Look out;
  TENON_ASSIGN(out.manifest, load_manifest(file));
  TENON_ASSIGN(out.catalog, open_catalog(plugin_dirs));
  TENON_ASSIGN(out.assembly, assemble(out.manifest, out.catalog));
  if (!with_model) return out;
  TENON_ASSIGN(out.model_path, model_at_hand(out.manifest));
  if (!out.model_path) return out;
  TENON_ASSIGN(const GgufFile model, GgufFile::open(*out.model_path));
  const auto architecture = model.get_string("general.architecture");
  if (architecture.ok()) out.architecture = *architecture;
  return out;
}

std::string model_text(const Look& look) {
  const ManifestModel& model = look.manifest.model;
  std::string out = model.name.empty() ? *look.model_path : model.name;
  if (!look.model_path) return out + "  not fetched yet";
  if (!model.name.empty()) out += "  " + *look.model_path;
  return look.architecture.empty() ? out : out + "  " + look.architecture;
}

void print_look(const Look& look) {
  std::printf("manifest   %s\n", look.manifest.source.c_str());
  std::printf("model      %s\n", model_text(look).c_str());
  for (const ChosenPlugin& plugin : look.assembly.chosen) {
    const PluginDescriptor& descriptor = plugin.file->descriptor;
    std::printf("%-10s %s %s  %s\n", plugin.role.c_str(), descriptor.id.c_str(),
                descriptor.version.c_str(),
                plugin.file->path.empty() ? "(built in)" : plugin.file->path.c_str());
    for (const ResolvedParam& param : plugin.params.values())
      std::printf("             %s: %s\n", param.key.c_str(),
                  param_value_text(param.value).c_str());
  }
  for (const ManifestAdapter& adapter : look.manifest.adapters)
    std::printf("adapters   %s  %s\n", adapter.name.c_str(),
                manifest_path(look.manifest, adapter.path).c_str());
  std::printf("ranks      %lld\n", static_cast<long long>(look.manifest.engine.ranks));
}

ordered_json roles_json(const std::vector<ChosenPlugin>& chosen) {
  ordered_json roles = ordered_json::array();
  for (const ChosenPlugin& plugin : chosen) {
    ordered_json params = ordered_json::object();
    for (const ResolvedParam& param : plugin.params.values())
      params[param.key] =
          std::visit([](const auto& inside) { return ordered_json(inside); }, param.value);
    roles.push_back({{"role", plugin.role},
                     {"plugin", plugin.file->descriptor.id},
                     {"version", plugin.file->descriptor.version},
                     {"file", plugin.file->path},
                     {"sha256", plugin.file->sha256},
                     {"params", std::move(params)}});
  }
  return roles;
}

void add_verdict(const Explanation& explanation, ordered_json& out) {
  out["verdict"] = standing_name(explanation.standing);
  out["conflicts"] = ordered_json::array();
  for (const ExplainedConflict& conflict : explanation.conflicts)
    out["conflicts"].push_back(
        {{"roles", conflict.roles}, {"because", conflict.causes}, {"changes", conflict.changes}});
  out["degraded"] = explanation.degraded;
  out["untested"] = explanation.untested;
}

ordered_json look_json(const Look& look, const Explanation& explanation) {
  ordered_json adapters = ordered_json::array();
  for (const ManifestAdapter& adapter : look.manifest.adapters)
    adapters.push_back(
        {{"name", adapter.name}, {"path", manifest_path(look.manifest, adapter.path)}});
  ordered_json out = {{"manifest", look.manifest.source},
                      {"model",
                       {{"name", look.manifest.model.name},
                        {"file", look.model_path.value_or("")},
                        {"architecture", look.architecture}}},
                      {"roles", roles_json(look.assembly.chosen)},
                      {"adapters", std::move(adapters)},
                      {"ranks", look.manifest.engine.ranks}};
  add_verdict(explanation, out);
  return out;
}

int check_one(const ManifestCheckCommand& command, const std::string& file) {
  const auto look = look_at(file, command.plugin_dirs, true);
  if (!look.ok()) return report_error(look.error(), command.json);
  const Explanation explanation = explain(look->assembly, look->catalog);
  if (command.json) {
    print(look_json(*look, explanation));
  } else {
    print_look(*look);
    std::fputs(verdict_lines(explanation).c_str(), stdout);
  }
  const Status fits =
      check_assembly(look->assembly, look->manifest, look->catalog, command.allow_untested);
  return fits.ok() ? static_cast<int>(kExitOk) : report_error(fits.error());
}

ordered_json explanation_json(const Look& look, const Explanation& explanation) {
  ordered_json roles = ordered_json::array();
  for (const ExplainedRole& role : explanation.roles) {
    ordered_json claims = ordered_json::array();
    for (const ExplainedClaim& claim : role.claims)
      claims.push_back({{"says", claim.said},
                        {"if", claim.condition},
                        {"looked_at", claim.looked},
                        {"holds", claim.holds},
                        {"outcome", claim.outcome}});
    roles.push_back({{"role", role.role},
                     {"plugin", role.plugin},
                     {"version", role.version},
                     {"claims", std::move(claims)}});
  }
  ordered_json out = {{"manifest", look.manifest.source}, {"roles", std::move(roles)}};
  add_verdict(explanation, out);
  return out;
}

}  // namespace

int run_command(const ManifestCheckCommand& command) {
  int worst = kExitOk;
  for (const std::string& file : command.files) {
    if (&file != &command.files.front() && !command.json) std::puts("");
    worst = std::max(worst, check_one(command, file));
  }
  return worst;
}

int run_command(const ManifestExplainCommand& command) {
  const auto look = look_at(command.file, command.plugin_dirs, false);
  if (!look.ok()) return report_error(look.error(), command.json);
  const Explanation explanation = explain(look->assembly, look->catalog);
  if (command.json)
    print(explanation_json(*look, explanation));
  else
    std::fputs(explanation_text(explanation).c_str(), stdout);
  return kExitOk;
}

int run_command(const ManifestDiffCommand& command) {
  const auto a = look_at(command.a, command.plugin_dirs, false);
  if (!a.ok()) return report_error(a.error(), command.json);
  const auto b = look_at(command.b, command.plugin_dirs, false);
  if (!b.ok()) return report_error(b.error(), command.json);
  const std::vector<ManifestDifference> differences =
      diff_manifests(a->manifest, a->assembly, b->manifest, b->assembly);
  if (command.json) {
    ordered_json list = ordered_json::array();
    for (const ManifestDifference& each : differences)
      list.push_back({{"what", each.what}, {"a", each.a}, {"b", each.b}});
    print({{"a", command.a}, {"b", command.b}, {"differences", std::move(list)}});
    return kExitOk;
  }
  for (const ManifestDifference& each : differences)
    std::puts(difference_text(each, command.a, command.b).c_str());
  if (differences.empty()) std::puts("no difference");
  return kExitOk;
}

}  // namespace tenon::app
