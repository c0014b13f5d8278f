// `manifest lock`: the same manifest with everything pinned.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/tenon/cli.h"
#include "apps/tenon/session.h"
#include "core/base/hash.h"
#include "core/plugin/manifest_lock.h"

namespace tenon::app {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct Locked {
  Manifest manifest;
  std::string text;
};

// Libraries stay where they are; their content and version may be others now.
void forget_pins(Manifest& manifest) {
  for (ManifestRole* role : manifest_roles(manifest)) {
    if (!role->library) continue;
    role->library->sha256.clear();
    role->version.clear();
  }
  manifest.model.sha256.clear();
}

// What is written must load: it is read again, and checked.
Result<Locked> lock(const ManifestLockCommand& command, const std::string& folder) {
  TENON_ASSIGN(Manifest manifest, load_manifest(command.file));
  if (command.update) forget_pins(manifest);
  TENON_ASSIGN(PluginCatalog catalog, open_catalog(command.plugin_dirs, true));
  TENON_ASSIGN(const Assembly assembly, assemble(manifest, catalog));
  TENON_TRY(check_conflicts(assembly, catalog));
  TENON_ASSIGN(const std::optional<std::string> model, model_at_hand(manifest));
  std::string digest;
  if (model) {
    TENON_ASSIGN(digest, sha256_file(*model));
  }
  const Manifest pinned = lock_manifest(manifest, assembly, digest, folder);
  Locked out{.text =
                 "# proto-file: core/manifest/manifest.proto\n"
                 "# proto-message: tenon.manifest.v1.Manifest\n"
                 "#\n# Written by `tenon manifest lock` from " +
                 fs::path(command.file).filename().string() + ".\n" + canonical_text(pinned)};
  TENON_ASSIGN(out.manifest, parse_manifest(out.text, folder + "/locked.textproto"));
  TENON_ASSIGN(const Assembly again, assemble(out.manifest, catalog));
  TENON_TRY(check_conflicts(again, catalog));
  return out;
}

Error cannot_write(const std::string& path, const std::string& why) {
  return Error{.code = Code::kPermissionDenied,
               .id = "TENON-M031",
               .message = "cannot write the locked manifest",
               .where = path,
               .found = why,
               .fix = "name a file in a folder that can be written"};
}

// All of it or nothing: the old file stays until the new one is complete. A link stays a link.
Status write(const std::string& name, const std::string& text) {
  std::error_code unknown;
  const fs::path real = fs::canonical(name, unknown);
  const std::string path = unknown ? name : real.string();
  const std::string fresh = path + ".part";
  {
    std::ofstream file(fresh, std::ios::binary | std::ios::trunc);
    file << text;
    file.close();
    if (!file) return cannot_write(fresh, std::strerror(errno));
  }
  std::error_code error;
  fs::rename(fresh, path, error);
  return error ? Status(cannot_write(path, error.message())) : Status();
}

void print_pins(const Locked& locked, const std::string& path) {
  ordered_json roles = ordered_json::array();
  for (const ManifestRole* role : manifest_roles(locked.manifest))
    roles.push_back({{"role", role->role},
                     {"plugin", role->plugin},
                     {"version", role->version},
                     {"library", role->library ? role->library->path : ""},
                     {"sha256", role->library ? role->library->sha256 : ""}});
  const ordered_json out = {{"written", path},
                            {"model_sha256", locked.manifest.model.sha256},
                            {"roles", std::move(roles)},
                            {"manifest", locked.text}};
  std::puts(out.dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
}

}  // namespace

int run_command(const ManifestLockCommand& command) {
  const auto fail = [&](const Error& error) { return report_error(error, command.json); };
  const std::string path = command.in_place ? command.file : command.out;
  if (path.ends_with(".json"))
    return fail(Error{.code = Code::kInvalidArgument,
                      .id = "TENON-M032",
                      .message = "a locked manifest is written as text, not as JSON",
                      .where = path,
                      .fix = "name a .textproto with --out"});
  const std::string folder =
      fs::absolute(path.empty() ? command.file : path).parent_path().string();
  const auto locked = lock(command, folder);
  if (!locked.ok()) return fail(locked.error());
  if (!path.empty())
    if (const Status written = write(path, locked->text); !written.ok())
      return fail(written.error());
  if (command.json)
    print_pins(*locked, path);
  else if (path.empty())
    std::fputs(locked->text.c_str(), stdout);
  return kExitOk;
}

}  // namespace tenon::app
