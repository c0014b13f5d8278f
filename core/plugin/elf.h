// A small reader of ELF64 shared libraries: their sections and segments. What they mean for a
// plugin is in elf_facts.h. The bytes come from a stranger; every offset is checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
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
  std::uint32_t info = 0;
  std::uint64_t address = 0;         // in memory, from the library's base
  std::span<const std::byte> bytes;  // empty for a section that takes no room in the file
};

struct ElfSegment {
  std::uint32_t type = 0;
  std::uint32_t flags = 0;
};

// Views into the bytes that it was read from, which must outlive it.
struct ElfFile {
  std::uint16_t machine = 0;  // EM_X86_64 and so on
  std::vector<ElfSection> sections;
  std::vector<ElfSegment> segments;
};

// TENON-P002 when the bytes are no well-formed 64-bit little-endian shared library.
Result<ElfFile> read_elf(std::span<const std::byte> bytes, const std::string& where);

// The first section of this name, or null.
const ElfSection* find_section(const ElfFile& file, std::string_view name);

// The record of type T at an offset, or nothing. Copied: nothing says that it lies aligned.
template <class T>
std::optional<T> elf_record(std::span<const std::byte> bytes, std::uint64_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
  T out;
  std::memcpy(&out, bytes.data() + offset, sizeof out);
  return out;
}

// The terminated string at an offset of a string table, or nothing.
std::optional<std::string_view> elf_string(std::span<const std::byte> table, std::uint64_t offset);

}  // namespace tenon
