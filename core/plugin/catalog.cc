#include "core/plugin/catalog.h"

#include <algorithm>
#include <filesystem>

#include "core/base/hash.h"
#include "core/base/suggest.h"
#include "core/manifest/version.h"
#include "core/plugin/elf_rules.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;

// Versions were checked when the descriptor was read.
Version version_of(const PluginFile& file) {
  return parse_version(file.descriptor.version).value_or(Version());
}

std::string place_of(const PluginFile& file) { return file.path.empty() ? "built in" : file.path; }

// In the order of names, so that a catalog does not depend on the file system.
Result<std::vector<std::string>> libraries_of(const std::string& directory) {
  std::vector<std::string> out;
  std::error_code failed;
  for (fs::directory_iterator at(directory, failed), end; !failed && at != end;
       at.increment(failed))
    if (at->path().extension() == ".so") out.push_back(at->path().string());
  if (failed)
    return Error{.code = Code::kNotFound,
                 .id = "TENON-P023",
                 .message = "cannot read the plugin directory",
                 .where = directory,
                 .found = failed.message(),
                 .fix = "name a folder that is there and that this user may read"};
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

Status PluginCatalog::add_directory(const std::string& directory) {
  directories_.push_back(directory);
  TENON_ASSIGN(const std::vector<std::string> paths, libraries_of(directory));
  for (const std::string& path : paths) {
    Result<PluginFile> file = read(path);
    if (file.ok())
      keep(std::move(file).value());
    else
      broken_.push_back({path, file.take_error()});
  }
  return {};
}

Status PluginCatalog::add_builtin(const std::string& descriptor, PluginEntry entry) {
  PluginFile file;
  TENON_ASSIGN(file.descriptor, parse_descriptor_text(descriptor, "built-in descriptor"));
  const std::string identity = file.descriptor.id + " " + file.descriptor.version;
  file.sha256 = sha256_hex(std::as_bytes(std::span(identity.data(), identity.size())));
  file.entry = entry;
  keep(std::move(file));
  return {};
}

Result<const PluginFile*> PluginCatalog::add_library(const std::string& path) {
  TENON_ASSIGN(PluginFile file, read(path));
  return keep(std::move(file));
}

Result<PluginFile> PluginCatalog::read(const std::string& path) const {
  TENON_ASSIGN(PluginFile file, read_plugin_file(path, host_));
  TENON_TRY(check_elf_rules(file.facts, host_->allow_imports, path));
  return file;
}

// The same bytes twice, through a link or a copy, are one plugin.
const PluginFile* PluginCatalog::keep(PluginFile file) {
  for (const PluginFile& known : files_)
    if (known.sha256 == file.sha256) return &known;
  return &files_.emplace_back(std::move(file));
}

Error PluginCatalog::unknown(const std::string& id, const std::string& where) const {
  std::vector<std::string> ids;
  for (const PluginFile& file : files_) ids.push_back(file.descriptor.id);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  Error error{
      .code = Code::kNotFound,
      .id = "TENON-P020",
      .message = "no plugin \"" + id + "\"",
      .where = where,
      .found = "directories searched: " + (directories_.empty() ? "none" : list_text(directories_)),
      .fix = suggest_fix(id, ids)};
  if (!broken_.empty())
    error.found += "; " + std::to_string(broken_.size()) +
                   " files there are broken, the first: " + broken_.front().error.to_string();
  return error;
}

Result<const PluginFile*> PluginCatalog::find(const std::string& id, const std::string& range,
                                              const std::string& where) const {
  const std::optional<VersionRange> wanted = parse_version_range(range);
  std::vector<std::string> versions;
  const PluginFile* best = nullptr;
  const PluginFile* rival = nullptr;
  for (const PluginFile& file : files_) {
    if (file.descriptor.id != id) continue;
    versions.push_back(file.descriptor.version);
    if (!wanted || !wanted->contains(version_of(file))) continue;
    if (best != nullptr && version_of(file) == version_of(*best)) rival = &file;
    if (best == nullptr || version_of(file) > version_of(*best)) {
      best = &file;
      rival = nullptr;
    }
  }
  if (versions.empty()) return unknown(id, where);
  if (best == nullptr)
    return Error{.code = Code::kNotFound,
                 .id = "TENON-P021",
                 .message = "no version of " + id + " fits",
                 .where = where,
                 .found = list_text(versions),
                 .expected = "\"" + range + "\"",
                 .fix = "install a version that fits, or change `version` of the role"};
  if (rival != nullptr)
    return Error{.code = Code::kFailedPrecondition,
                 .id = "TENON-P022",
                 .message = "two different files are " + id + " " + best->descriptor.version,
                 .where = where,
                 .found = place_of(*best) + " and " + place_of(*rival),
                 .fix = "remove one, or pin one with library { path: \"...\" }"};
  return best;
}

}  // namespace tenon
