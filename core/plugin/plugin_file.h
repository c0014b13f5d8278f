// One plugin that could be used: a library on disk, read but not opened, or an entry built into the
// program.
#pragma once

#include <string>
#include <vector>

#include "core/plugin/descriptor.h"
#include "tenon/abi/plugin.h"

namespace tenon {

using PluginEntry = const tenon_plugin_v1* (*)();

struct PluginFile {
  PluginDescriptor descriptor;
  std::string path;                  // absolute; empty for a built-in
  std::string sha256;                // of the file; of id and version for a built-in
  std::vector<std::string> exports;  // the functions that the library exports; a clean one has one
  PluginEntry entry = nullptr;       // of a built-in
};

// Reads the file once: the hash, the exports and the descriptor are of the same bytes. Warns when
// anyone may write to it. TENON-P001: cannot be read; P002: no ELF library; P003: another machine;
// P004: no descriptor; P005..P008: the descriptor.
Result<PluginFile> read_plugin_file(const std::string& path);

}  // namespace tenon
