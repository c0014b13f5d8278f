#include "core/plugin/elf.h"

#include <elf.h>

#include <bit>

#include "core/base/checked.h"

namespace tenon {
namespace {

static_assert(std::endian::native == std::endian::little, "records are copied as they lie");

using Bytes = std::span<const std::byte>;

Error malformed(const std::string& where, std::string what) {
  return Error{.code = Code::kDataLoss,
               .id = "TENON-P002",
               .message = "not a well-formed ELF shared library: " + std::move(what),
               .where = where,
               .expected = "a 64-bit little-endian .so",
               .fix = "build the file again, or take it out of the plugin directory"};
}

std::optional<Bytes> slice(Bytes bytes, std::uint64_t offset, std::uint64_t size) {
  const std::optional<std::uint64_t> end = checked_add(offset, size);
  if (!end || *end > bytes.size()) return std::nullopt;
  return bytes.subspan(offset, size);
}

std::optional<Bytes> contents(Bytes bytes, const Elf64_Shdr& header) {
  if (header.sh_type == SHT_NOBITS || header.sh_type == SHT_NULL) return Bytes();
  return slice(bytes, header.sh_offset, header.sh_size);
}

Status check_header(const Elf64_Ehdr& header, const std::string& where) {
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return malformed(where, "no ELF magic");
  if (header.e_ident[EI_CLASS] != ELFCLASS64) return malformed(where, "not 64-bit");
  if (header.e_ident[EI_DATA] != ELFDATA2LSB) return malformed(where, "not little-endian");
  if (header.e_type != ET_DYN) return malformed(where, "not a shared library");
  if (header.e_shentsize != sizeof(Elf64_Shdr)) return malformed(where, "no section headers");
  if (header.e_phentsize != sizeof(Elf64_Phdr)) return malformed(where, "no program headers");
  if (header.e_shnum == 0) return malformed(where, "no sections");
  if (header.e_shstrndx >= header.e_shnum) return malformed(where, "no section names");
  return {};
}

}  // namespace

Result<ElfFile> read_elf(Bytes bytes, const std::string& where) {
  const std::optional<Elf64_Ehdr> header = elf_record<Elf64_Ehdr>(bytes, 0);
  if (!header) return malformed(where, "shorter than a header");
  TENON_TRY(check_header(*header, where));
  const std::optional<Bytes> headers =
      slice(bytes, header->e_shoff, std::uint64_t{header->e_shnum} * sizeof(Elf64_Shdr));
  if (!headers) return malformed(where, "section headers beyond the end");
  const auto header_of = [&](std::size_t i) {
    return *elf_record<Elf64_Shdr>(*headers, i * sizeof(Elf64_Shdr));
  };
  const std::optional<Bytes> names = contents(bytes, header_of(header->e_shstrndx));
  if (!names) return malformed(where, "section names beyond the end");
  ElfFile out{.machine = header->e_machine};
  for (std::size_t i = 0; i < header->e_shnum; ++i) {
    const Elf64_Shdr section = header_of(i);
    const std::optional<std::string_view> name = elf_string(*names, section.sh_name);
    const std::optional<Bytes> inside = contents(bytes, section);
    if (!name || !inside)
      return malformed(where, "section " + std::to_string(i) + " beyond the end");
    out.sections.push_back(
        {*name, section.sh_type, section.sh_link, section.sh_info, section.sh_addr, *inside});
  }
  for (std::size_t i = 0; i < header->e_phnum; ++i) {
    const auto segment =
        elf_record<Elf64_Phdr>(bytes, header->e_phoff + std::uint64_t{i} * sizeof(Elf64_Phdr));
    if (!segment) return malformed(where, "program headers beyond the end");
    out.segments.push_back({segment->p_type, segment->p_flags});
  }
  return out;
}

const ElfSection* find_section(const ElfFile& file, std::string_view name) {
  for (const ElfSection& section : file.sections)
    if (section.name == name) return &section;
  return nullptr;
}

std::optional<std::string_view> elf_string(Bytes table, std::uint64_t offset) {
  if (offset >= table.size()) return std::nullopt;
  const char* begin = reinterpret_cast<const char*>(table.data()) + offset;
  const void* end = std::memchr(begin, 0, table.size() - offset);
  if (end == nullptr) return std::nullopt;
  return std::string_view(begin, static_cast<std::size_t>(static_cast<const char*>(end) - begin));
}

}  // namespace tenon
