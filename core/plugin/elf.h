// A small reader of ELF64 shared libraries, for what must be known of a file before it is opened:
// its machine, a section's bytes, the functions that it exports. The bytes come from a stranger;
// every offset is checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"

namespace tenon {

struct ElfSection {
  std::string_view name;
  std::uint32_t type = 0;
  std::uint32_t link = 0;
  std::span<const std::byte> bytes;  // empty for a section that takes no room in the file
};

// Views into the bytes that it was read from, which must outlive it.
struct ElfFile {
  std::uint16_t machine = 0;  // EM_X86_64 and so on
  std::vector<ElfSection> sections;
};

// TENON-P002 when the bytes are no well-formed 64-bit little-endian shared library.
Result<ElfFile> read_elf(std::span<const std::byte> bytes, const std::string& where);

// The first section of this name, or null.
const ElfSection* find_section(const ElfFile& file, std::string_view name);

// Names of the global functions that the file defines for others, in the order of its dynamic
// symbol table.
Result<std::vector<std::string_view>> exported_functions(const ElfFile& file,
                                                         const std::string& where);

}  // namespace tenon
