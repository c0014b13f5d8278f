// The plugins that a manifest can name: built-in ones and those of the plugin directories. Nothing
// is opened here.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/manifest/manifest.h"
#include "core/plugin/plugin_file.h"

namespace tenon {

// A file that looked like a plugin and could not be used; it does not stand in the way of the
// others.
struct BrokenPlugin {
  std::string path;
  Error error;
};

class PluginCatalog {
 public:
  explicit PluginCatalog(HostConfig host = {})
      : host_(std::make_shared<const HostConfig>(std::move(host))) {}

  // Reads every *.so of a directory, not of its subfolders. TENON-P023 when the directory cannot be
  // read.
  Status add_directory(const std::string& directory);
  // `descriptor` is a plugin.textproto.
  Status add_builtin(const std::string& descriptor, PluginEntry entry);
  // One file, for instance the one that a manifest pins. Errors of read_plugin_file() and of
  // elf_rules.h.
  Result<const PluginFile*> add_library(const std::string& path);

  // The newest version that the range accepts; the pointer lives as long as the catalog. `where` is
  // for errors. TENON-P020: unknown id; P021: no version fits; P022: two different files are that
  // version.
  Result<const PluginFile*> find(const std::string& id, const std::string& range = "",
                                 const std::string& where = "") const;

  const HostConfig& host() const { return *host_; }
  const std::deque<PluginFile>& files() const { return files_; }
  const std::vector<BrokenPlugin>& broken() const { return broken_; }
  const std::vector<std::string>& directories() const { return directories_; }

 private:
  Result<PluginFile> read(const std::string& path) const;
  const PluginFile* keep(PluginFile file);
  Error unknown(const std::string& id, const std::string& where) const;

  std::shared_ptr<const HostConfig> host_;
  std::deque<PluginFile> files_;  // a deque: adding leaves pointers valid
  std::vector<BrokenPlugin> broken_;
  std::vector<std::string> directories_;
};

}  // namespace tenon
