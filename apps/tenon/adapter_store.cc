#include "apps/tenon/adapter_store.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "apps/tenon/model_store.h"
#include "core/base/suggest.h"

namespace fs = std::filesystem;

namespace tenon::app {
namespace {

constexpr const char* kFiles[] = {"adapter_config.json", "adapter_model.safetensors"};

bool is_folder(const std::string& value) {
  std::error_code error;
  return value.find('/') != std::string::npos || fs::is_directory(value, error);
}

std::string last_part(const std::string& folder) {
  fs::path path = fs::absolute(folder).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();
  return path.filename().string();
}

Error unknown(const std::string& name, const std::vector<std::string>& known) {
  return {.code = Code::kNotFound,
          .id = "TENON-A040",
          .message = "no adapter is known by this name",
          .where = "adapter",
          .found = "\"" + name + "\"",
          .expected = "a name that `tenon adapter list` shows, or a folder",
          .fix = known.empty() ? "keep one with `tenon adapter load FOLDER`"
                               : suggest_fix(name, known)};
}

}  // namespace

Result<AdapterStore> AdapterStore::open(std::string cache_dir) {
  if (cache_dir.empty()) cache_dir = default_cache_dir();
  if (cache_dir.empty())
    return Error{.code = Code::kFailedPrecondition,
                 .id = "TENON-A011",
                 .message = "there is no place for a cache",
                 .fix = "set HOME or XDG_CACHE_HOME to an absolute path"};
  return AdapterStore(cache_dir + "/adapters");
}

std::vector<StoredAdapter> AdapterStore::list() const {
  std::vector<StoredAdapter> out;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(root_, error))
    if (const std::string name = entry.path().filename().string();
        entry.is_directory(error) && !name.starts_with("."))
      out.push_back({name, entry.path().string()});
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return out;
}

std::string AdapterStore::path_of(const std::string& name) const { return root_ + "/" + name; }

Status AdapterStore::check_name(const std::string& name) {
  if (!name.empty() && !name.starts_with(".") && name.find_first_of("/=") == std::string::npos)
    return {};
  return Error{.code = Code::kInvalidArgument,
               .id = "TENON-A042",
               .message = "not a name under which an adapter can be kept",
               .where = "adapter",
               .found = "\"" + name + "\"",
               .expected = "a name without / and = that does not begin with a dot",
               .fix = "give one with --name"};
}

Result<StoredAdapter> AdapterStore::keep(const std::string& name, const std::string& folder) const {
  TENON_TRY(check_name(name));
  const fs::path final_path = path_of(name),
                 part = fs::path(root_) / (".part-" + std::to_string(::getpid()));
  std::error_code error;
  if (fs::exists(final_path, error))
    return Error{.code = Code::kAlreadyExists,
                 .id = "TENON-A043",
                 .message = "an adapter of this name is kept",
                 .where = final_path.string(),
                 .fix = "tenon adapter remove " + name + ", or give another --name"};
  fs::remove_all(part, error);
  fs::create_directories(part, error);
  for (const char* file : kFiles)
    if (!error) fs::copy_file(fs::path(folder) / file, part / file, error);
  if (!error) fs::rename(part, final_path, error);
  if (!error) return StoredAdapter{name, final_path.string()};
  Error failed{.code = Code::kUnavailable,
               .id = "TENON-A044",
               .message = "the adapter cannot be kept",
               .where = root_,
               .found = error.message(),
               .fix = "check the folder's permissions and the space that is left"};
  fs::remove_all(part, error);
  return failed;
}

Status AdapterStore::remove(const std::string& name) const {
  std::vector<std::string> known;
  for (const StoredAdapter& adapter : list()) known.push_back(adapter.name);
  if (std::find(known.begin(), known.end(), name) == known.end()) return unknown(name, known);
  std::error_code error;
  fs::remove_all(path_of(name), error);
  if (!error) return {};
  return Error{.code = Code::kUnavailable,
               .id = "TENON-A044",
               .message = "the adapter cannot be removed",
               .where = path_of(name),
               .found = error.message()};
}

namespace {

// The folder that a name means: the manifest's, or one in the store. Empty: neither.
std::string folder_of(const std::string& name, const Manifest& manifest,
                      std::vector<std::string>& known) {
  for (const ManifestAdapter& adapter : manifest.adapters) {
    if (adapter.name == name) return manifest_path(manifest, adapter.path);
    known.push_back(adapter.name);
  }
  const auto store = AdapterStore::open();
  for (const StoredAdapter& adapter : store.ok() ? store->list() : std::vector<StoredAdapter>()) {
    if (adapter.name == name) return adapter.path;
    known.push_back(adapter.name);
  }
  return "";
}

}  // namespace

namespace {

// Adds what one value asks for; gives its name, and whether it is more than NAME=FOLDER.
Result<std::pair<std::string, bool>> read_adapter(const std::string& value,
                                                  const Manifest& manifest, AdapterWish& wish) {
  const std::size_t equals = value.find('=');
  const bool both =
      equals != std::string::npos && value.find('/') > equals;  // a folder's name may have a '='
  std::string name = value, folder;
  if (both) {
    name = value.substr(0, equals);
    if (name.empty() || equals + 1 == value.size())
      return Error{.code = Code::kInvalidArgument,
                   .id = "TENON-A040",
                   .message = "an adapter without a name or without a folder",
                   .where = "--adapter",
                   .found = "\"" + value + "\"",
                   .expected = "NAME, FOLDER or NAME=FOLDER"};
    folder = fs::absolute(value.substr(equals + 1)).string();
  } else if (is_folder(value)) {
    name = last_part(value);
    folder = fs::absolute(value).string();
  }
  const auto same = [&](const ManifestAdapter& other) { return other.name == name; };
  const auto given = std::find_if(wish.load.begin(), wish.load.end(), same);
  const bool in_manifest = std::any_of(manifest.adapters.begin(), manifest.adapters.end(), same);
  if (!folder.empty() && (in_manifest || (given != wish.load.end() && given->path != folder)))
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-A041",
                 .message = "the name \"" + name + "\" means two adapters",
                 .where = "--adapter",
                 .found = folder,
                 .fix = "give one of them another name: NAME=FOLDER"};
  if (given == wish.load.end() && !in_manifest) {
    std::vector<std::string> known;
    if (folder.empty()) folder = folder_of(name, manifest, known);
    if (folder.empty()) return unknown(name, known);
    wish.load.push_back({name, folder, "--adapter " + value});
  }
  if (std::find(wish.names.begin(), wish.names.end(), name) == wish.names.end())
    wish.names.push_back(name);
  return std::pair(name, !both);
}

}  // namespace

Result<AdapterWish> read_adapters(const std::vector<std::string>& values, const Manifest& manifest,
                                  bool one) {
  AdapterWish wish;
  std::vector<std::string> meant;
  for (const std::string& value : values) {
    TENON_ASSIGN(const auto read, read_adapter(value, manifest, wish));
    if (read.second || values.size() == 1) meant.push_back(read.first);
  }
  if (one && meant.size() != 1 && !values.empty())
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-A045",
                 .message = "it is not said which adapter requests use",
                 .where = "--adapter",
                 .found = std::to_string(values.size()) + " values, " +
                          std::to_string(meant.size()) + " of them not NAME=FOLDER",
                 .expected = "NAME=FOLDER for those that are only loaded, and one NAME"};
  if (meant.size() == 1) wish.request = meant[0];
  return wish;
}

void add_adapters(const AdapterWish& wish, Manifest& manifest) {
  if (wish.names.empty()) return;
  if (!manifest.adapter)
    manifest.adapter = {.role = "adapter", .plugin = "tenon.adapter.lora", .where = "--adapter"};
  manifest.adapters.insert(manifest.adapters.end(), wish.load.begin(), wish.load.end());
}

}  // namespace tenon::app
