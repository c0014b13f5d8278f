#include "core/plugin/assembly.h"

#include "core/manifest/version.h"
#include "core/plugin/remedy.h"
#include "core/plugin/verdict_text.h"

namespace tenon {
namespace {

Result<const PluginFile*> pinned_file(const Manifest& manifest, const ManifestRole& role,
                                      PluginCatalog& catalog) {
  const std::string path = manifest_path(manifest, role.library->path);
  TENON_ASSIGN(const PluginFile* file, catalog.add_library(path));
  if (!role.library->sha256.empty() && role.library->sha256 != file->sha256)
    return Error{.code = Code::kFailedPrecondition,
                 .id = "TENON-P024",
                 .message = "the library of role " + role.role + " is not the pinned one",
                 .where = role.where,
                 .found = "sha256 " + file->sha256 + " of " + path,
                 .expected = "sha256 " + role.library->sha256,
                 .fix = "restore the file; if the change is wanted, tenon manifest lock --update"};
  if (file->descriptor.id != role.plugin)
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-P025",
                 .message = path + " is another plugin",
                 .where = role.where,
                 .found = file->descriptor.id,
                 .expected = role.plugin,
                 .fix = "pin a library of that plugin, or change `plugin` of the role"};
  const std::optional<Version> version = parse_version(file->descriptor.version);
  const std::optional<VersionRange> range = parse_version_range(role.version);
  if (!version || !range || !range->contains(*version))
    return Error{.code = Code::kNotFound,
                 .id = "TENON-P021",
                 .message = "the pinned library of " + role.plugin + " does not fit the version",
                 .where = role.where,
                 .found = file->descriptor.version,
                 .expected = "\"" + role.version + "\"",
                 .fix = "pin a library that fits, or change `version` of the role"};
  return file;
}

// Built-in plugins are pinned by the program itself.
Status check_pin(const ManifestRole& role, const PluginFile& file, const HostConfig& host) {
  if (!host.require_pins || file.path.empty() || (role.library && !role.library->sha256.empty()))
    return {};
  return Error{.code = Code::kPermissionDenied,
               .id = "TENON-P026",
               .message = "this host opens pinned libraries alone",
               .where = role.where,
               .found = "role " + role.role + " without library { path sha256 }",
               .expected = "sha256 " + file.sha256 + " of " + file.path,
               .fix = "tenon manifest lock writes the pins; require_pins is set by " + host.source};
}

// What engine.deterministic means: nobody gives other bits on purpose, nobody is silent about it.
Contract asked_by(const Manifest& manifest) {
  Contract out{
      .role = "engine", .kind = "engine", .id = "engine.deterministic", .where = manifest.source};
  for (const char* token : {"numerics.approx", "numerics.unspecified"})
    out.claims.push_back({.field = ClaimField::kConflicts, .claim = {.token = token}});
  return out;
}

}  // namespace

Result<Assembly> assemble(const Manifest& manifest, PluginCatalog& catalog,
                          const CompatibilityRecord& record, const HostOffer& host) {
  Assembly out;
  for (const ManifestRole* role : manifest_roles(manifest)) {
    TENON_ASSIGN(const PluginFile* file,
                 role->library ? pinned_file(manifest, *role, catalog)
                               : catalog.find(role->plugin, role->version, role->where));
    TENON_TRY(check_pin(*role, *file, catalog.host()));
    TENON_ASSIGN(ResolvedParams params,
                 resolve_params(file->descriptor, role->params, role->where));
    TENON_ASSIGN(Contract contract,
                 compose_one({role->role, &file->descriptor, &params, role->where}, host));
    out.chosen.push_back({role->role, file, std::move(params), role->where});
    out.contracts.push_back(std::move(contract));
  }
  if (manifest.engine.deterministic) out.contracts.push_back(asked_by(manifest));
  out.verdict = judge(out.contracts, host.provided, record);
  return out;
}

Status check_conflicts(const Assembly& assembly, const PluginCatalog& catalog,
                       const HostOffer& host) {
  const Verdict& verdict = assembly.verdict;
  if (verdict.conflicts.empty()) return {};
  return conflict_error(
      assembly.contracts, verdict,
      remedies(assembly.contracts, verdict.conflicts.front(), verdict, catalog, host));
}

Result<std::vector<ChosenPlugin>> choose_plugins(const Manifest& manifest, PluginCatalog& catalog,
                                                 const CompatibilityRecord& record) {
  TENON_ASSIGN(Assembly assembly, assemble(manifest, catalog, record));
  TENON_TRY(check_conflicts(assembly, catalog));
  return std::move(assembly.chosen);
}

}  // namespace tenon
