// The operator's policy for this machine: where plugins may come from and what they may need. The
// schema is host_config.proto; its text form is read from a file that no manifest names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"

namespace tenon {

struct HostConfig {
  // Also: files and folders that others may write to are refused, and libraries must be pinned
  // unless require_pins says otherwise.
  bool production = false;
  std::vector<std::string> plugin_directories;  // absolute; empty: plugins may lie anywhere
  std::vector<std::string> allow_imports;
  std::string store;  // absolute; empty: default_store()
  bool require_pins = false;
  // Pairs of plugins that were never run together: true: always; false: not even when a command
  // asks for it; not set: when it does.
  std::optional<bool> allow_untested;
  std::optional<bool> check_boundary;
  std::uint32_t max_images = 256;
  std::string source;  // the file; empty: defaults
};

// TENON-P111: syntax or an unknown field, with its line; P112: a value that cannot be.
Result<HostConfig> parse_host_config(std::string_view text, const std::string& source);
// TENON-P110: cannot be read; P113: others may write to it.
Result<HostConfig> read_host_config(const std::string& path);
// TENON_HOST_CONFIG, else ~/.config/tenon/host.textproto, else /etc/tenon/host.textproto, else the
// defaults. A process with raised privileges reads the one in /etc alone.
Result<HostConfig> find_host_config();

// TENON_STATE_DIR/plugins, else XDG_STATE_HOME/tenon/plugins, else ~/.local/state/tenon/plugins.
// TENON-P130 when none of these is set.
Result<std::string> default_store();

}  // namespace tenon
