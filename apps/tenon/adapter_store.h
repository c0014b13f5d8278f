// The adapters of a command line: those that the user keeps, and what --adapter means.
//
//   CACHE/adapters/NAME/adapter_config.json, adapter_model.safetensors
#pragma once

#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/manifest/manifest.h"

namespace tenon::app {

struct StoredAdapter {
  std::string name, path;
};

class AdapterStore {
 public:
  // `cache_dir` empty: as ModelStore. TENON-A011 when there is no place for a cache.
  static Result<AdapterStore> open(std::string cache_dir = "");

  std::vector<StoredAdapter> list() const;  // by name
  std::string path_of(const std::string& name) const;
  // TENON-A042: not a name for a folder of the store.
  static Status check_name(const std::string& name);
  // Copies the two files of `folder`; the name appears when both are complete. TENON-A042: not a
  // name for a folder; A043: there is one; A044: it cannot be written.
  Result<StoredAdapter> keep(const std::string& name, const std::string& folder) const;
  // TENON-A040 with the nearest name.
  Status remove(const std::string& name) const;

 private:
  explicit AdapterStore(std::string root) : root_(std::move(root)) {}
  std::string root_;
};

// What the values of --adapter ask for. Each is NAME (of the manifest or the store), FOLDER (its
// last part is the name) or NAME=FOLDER.
struct AdapterWish {
  std::vector<ManifestAdapter> load;  // beside the manifest's own
  std::vector<std::string> names;     // of all values, in order
  // What requests use: the one value that is no NAME=FOLDER, or the only value. Empty: none.
  std::string request;
};
// TENON-A040: unknown; A041: a name means two folders; A045: several values, and it is not said
// which one requests use, although `one` is wanted.
Result<AdapterWish> read_adapters(const std::vector<std::string>& values, const Manifest& manifest,
                                  bool one = true);

// With the plugin for adapters where the manifest has none, and what is to be loaded.
void add_adapters(const AdapterWish& wish, Manifest& manifest);

}  // namespace tenon::app
