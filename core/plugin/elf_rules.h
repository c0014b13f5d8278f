// What a library must keep to before it is opened: in a process that holds many plugins, one must
// not see another's symbols, and opening must not do more than opening.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/plugin/elf_facts.h"

namespace tenon {

// `more_imports`: libraries that the operator allows beside the toolchain's, CUDA's and those that
// the engine itself stands on; a trailing * stands for any ending.
// TENON-P041: no entry; P100: executable stack; P101: text relocations; P102: a search path;
// P103: a library that is not allowed; P104: exports more than the entry; P105: symbols unique to
// the process, which two versions of a plugin would share; P106: Protobuf, whose registry is one
// per process.
Status check_elf_rules(const ElfFacts& facts, std::span<const std::string> more_imports,
                       const std::string& where);

}  // namespace tenon
