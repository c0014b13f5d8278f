// What a shared library would do to the process that opens it, read from its tables without
// opening it: symbols, dependencies, search paths, code that runs at load.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/plugin/elf.h"

namespace tenon {

struct ElfFacts {
  std::vector<std::string> exports;       // functions and data that it defines for others
  std::vector<std::string> unique;        // defined once per process, whoever opens it how
  std::vector<std::string> imports;       // symbols that others must define
  std::vector<std::string> needed;        // libraries, as the loader will look for them
  std::vector<std::string> search_paths;  // RPATH and RUNPATH
  // Functions that run when it is opened, beside the toolchain's own; "0x1234" where it is
  // stripped.
  std::vector<std::string> initialisers;
  std::string glibc;    // the newest version that it needs, "2.34"; empty: none
  std::string glibcxx;  // of libstdc++, "3.4.30"
  bool executable_stack = false;
  bool text_relocations = false;
};

// TENON-P002 when a table points beyond the file.
Result<ElfFacts> read_elf_facts(const ElfFile& file, const std::string& where);

}  // namespace tenon
