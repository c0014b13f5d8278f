// One configured use of a plugin.
#pragma once

#include <memory>
#include <string>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/iface/boundary.h"
#include "core/plugin/params.h"
#include "core/plugin/plugin_file.h"

namespace tenon {

class PluginInstance {
 public:
  // Opens the library where it is not open yet. `host` must outlive the instance; `file` need not.
  // Errors: those of open_plugin(); what the plugin's create() reports (TENON-P900); P045: create()
  // gave nothing.
  // `party`: who the plugin is to the checking proxy; null: its calls are not checked.
  static Result<PluginInstance> create(const PluginFile& file, ResolvedParams params,
                                       const tenon_host& host, iface::Party* party = nullptr);
  PluginInstance(PluginInstance&&) noexcept;
  PluginInstance& operator=(PluginInstance&&) noexcept;
  ~PluginInstance();

  // The table of an interface, of which the caller reads `needed` bytes: a header, then only slots.
  // TENON-P050: the instance does not have it; P051: it is too small; P052: a slot is empty.
  Result<const void*> interface(const char* id, std::size_t needed) const;
  template <class Table>
  Result<const Table*> table(const char* id) const {
    TENON_ASSIGN(const void* found, interface(id, sizeof(Table)));
    return static_cast<const Table*>(found);
  }
  // For calls through a table.
  tenon_instance* handle() const;
  iface::Party* party() const;

  const std::string& id() const;  // stays where it is when the instance moves
  const std::string& version() const;
  const std::string& file_hash() const;  // sha256; of a built-in: of its id and version
  const PluginDescriptor& descriptor() const;
  const ResolvedParams& params() const;
  // Of id, version, file and parameters: for cache keys and records of a run.
  const Hash128& identity() const;

 private:
  struct State;
  explicit PluginInstance(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tenon
