// One plugin that could be used: a library on disk, read but not opened, or an entry built into the
// program.
#pragma once

#include <memory>
#include <string>

#include "core/plugin/descriptor.h"
#include "core/plugin/elf_facts.h"
#include "core/plugin/host_config.h"
#include "tenon/abi/plugin.h"

namespace tenon {

using PluginEntry = const tenon_plugin_v1* (*)();

struct PluginFile {
  PluginDescriptor descriptor;
  std::string path;                        // absolute; empty for a built-in
  std::string sha256;                      // of the file; of id and version for a built-in
  ElfFacts facts;                          // of a library
  PluginEntry entry = nullptr;             // of a built-in
  std::shared_ptr<const HostConfig> host;  // the policy that it was read under; null: the defaults
};

// Reads the file once: the hash, the facts and the descriptor are of the same bytes. The rules of
// elf_rules.h are not applied. Errors of trust.h; TENON-P002: no ELF library; P003: another
// machine; P004: no descriptor; P005..P008: the descriptor.
Result<PluginFile> read_plugin_file(const std::string& path,
                                    std::shared_ptr<const HostConfig> host = nullptr);

}  // namespace tenon
