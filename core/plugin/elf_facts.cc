#include "core/plugin/elf_facts.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <map>

namespace tenon {
namespace {

using Bytes = std::span<const std::byte>;

Error malformed(const std::string& where, const char* what) {
  return Error{.code = Code::kDataLoss,
               .id = "TENON-P002",
               .message = std::string("not a well-formed ELF shared library: ") + what,
               .where = where,
               .expected = "tables that stay within the file",
               .fix = "build the file again, or take it out of the plugin directory"};
}

// Calls visit(record) for each record of a section.
template <class T, class Visit>
void each(const ElfSection& section, Visit&& visit) {
  for (std::size_t at = 0; at + sizeof(T) <= section.bytes.size(); at += sizeof(T))
    visit(*elf_record<T>(section.bytes, at));
}

const ElfSection* linked(const ElfFile& file, const ElfSection& section) {
  return section.link < file.sections.size() ? &file.sections[section.link] : nullptr;
}

Status read_symbols(const ElfFile& file, const std::string& where, ElfFacts& out) {
  bool broken = false;
  for (const ElfSection& section : file.sections) {
    if (section.type != SHT_DYNSYM) continue;
    const ElfSection* names = linked(file, section);
    if (names == nullptr) return malformed(where, "symbols without names");
    each<Elf64_Sym>(section, [&](const Elf64_Sym& symbol) {
      const auto name = elf_string(names->bytes, symbol.st_name);
      const auto binding = ELF64_ST_BIND(symbol.st_info);
      const auto visibility = ELF64_ST_VISIBILITY(symbol.st_other);
      broken = broken || !name;
      if (!name || name->empty() || binding == STB_LOCAL) return;
      if (symbol.st_shndx == SHN_UNDEF) {
        out.imports.emplace_back(*name);
      } else if (symbol.st_shndx != SHN_ABS &&
                 (visibility == STV_DEFAULT || visibility == STV_PROTECTED)) {
        out.exports.emplace_back(*name);
        if (binding == STB_GNU_UNIQUE) out.unique.emplace_back(*name);
      }
    });
  }
  if (broken) return malformed(where, "a symbol's name beyond the end");
  return {};
}

Status read_dynamic(const ElfFile& file, const std::string& where, ElfFacts& out) {
  bool broken = false;
  for (const ElfSection& section : file.sections) {
    if (section.type != SHT_DYNAMIC) continue;
    const ElfSection* names = linked(file, section);
    if (names == nullptr) return malformed(where, "dependencies without names");
    bool more = true;
    each<Elf64_Dyn>(section, [&](const Elf64_Dyn& entry) {
      more = more && entry.d_tag != DT_NULL;
      if (!more) return;
      const bool path = entry.d_tag == DT_RPATH || entry.d_tag == DT_RUNPATH;
      if (path || entry.d_tag == DT_NEEDED) {
        const auto name = elf_string(names->bytes, entry.d_un.d_val);
        broken = broken || !name;
        if (name) (path ? out.search_paths : out.needed).emplace_back(*name);
      }
      if (entry.d_tag == DT_TEXTREL ||
          (entry.d_tag == DT_FLAGS && (entry.d_un.d_val & DF_TEXTREL) != 0))
        out.text_relocations = true;
    });
  }
  if (broken) return malformed(where, "a dependency's name beyond the end");
  return {};
}

// Is version a, "2.9", older than b, "2.34"?
bool older(std::string_view a, std::string_view b) {
  while (!a.empty() || !b.empty()) {
    const auto next = [](std::string_view& text) {
      unsigned long value = 0;
      std::size_t at = 0;
      for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at)
        value = value * 10 + static_cast<unsigned long>(text[at] - '0');
      text.remove_prefix(std::min(at + 1, text.size()));
      return value;
    };
    const unsigned long left = next(a), right = next(b);
    if (left != right) return left < right;
  }
  return false;
}

void keep_newest(std::string_view name, std::string_view prefix, std::string& newest) {
  if (!name.starts_with(prefix)) return;
  const std::string_view version = name.substr(prefix.size());
  if (version.empty() || version[0] < '0' || version[0] > '9') return;  // GLIBC_PRIVATE
  if (newest.empty() || older(newest, version)) newest = version;
}

void read_versions(const ElfFile& file, ElfFacts& out) {
  for (const ElfSection& section : file.sections) {
    const ElfSection* names = linked(file, section);
    if (section.type != SHT_GNU_verneed || names == nullptr) continue;
    // Two levels of linked lists; each step goes forward, so that neither can turn in a circle.
    for (std::uint64_t at = 0;;) {
      const auto need = elf_record<Elf64_Verneed>(section.bytes, at);
      if (!need) break;
      std::uint64_t inner = at + need->vn_aux;
      for (std::uint32_t i = 0; i < need->vn_cnt; ++i) {
        const auto aux = elf_record<Elf64_Vernaux>(section.bytes, inner);
        if (!aux) break;
        const std::string_view name = elf_string(names->bytes, aux->vna_name).value_or("");
        keep_newest(name, "GLIBC_", out.glibc);
        keep_newest(name, "GLIBCXX_", out.glibcxx);
        if (aux->vna_next == 0) break;
        inner += aux->vna_next;
      }
      if (need->vn_next == 0) break;
      at += need->vn_next;
    }
  }
}

// What gcc and clang put there by themselves.
bool is_toolchains(std::string_view name) {
  static constexpr std::array kOwn = {
      std::string_view("frame_dummy"),         std::string_view("__cpu_indicator_init"),
      std::string_view("asan.module_ctor"),    std::string_view("tsan.module_ctor"),
      std::string_view("__init_cpu_features"), std::string_view("_sub_I_00099_0"),
      std::string_view("_sub_I_00099_1")};
  return std::find(kOwn.begin(), kOwn.end(), name) != kOwn.end();
}

std::map<std::uint64_t, std::string> function_names(const ElfFile& file) {
  std::map<std::uint64_t, std::string> out;
  for (const ElfSection& section : file.sections) {
    const ElfSection* names = linked(file, section);
    if (section.type != SHT_SYMTAB || names == nullptr) continue;
    each<Elf64_Sym>(section, [&](const Elf64_Sym& symbol) {
      if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC)
        out[symbol.st_value] = elf_string(names->bytes, symbol.st_name).value_or("");
    });
  }
  return out;
}

// Entries of .init_array are filled in by relocations, whose addends are the functions.
std::vector<std::uint64_t> initialiser_addresses(const ElfFile& file) {
  std::vector<std::uint64_t> out;
  const auto* array =
      std::find_if(file.sections.data(), file.sections.data() + file.sections.size(),
                   [](const ElfSection& section) { return section.type == SHT_INIT_ARRAY; });
  if (array == file.sections.data() + file.sections.size()) return out;
  for (const ElfSection& section : file.sections) {
    if (section.type != SHT_RELA) continue;
    each<Elf64_Rela>(section, [&](const Elf64_Rela& entry) {
      if (entry.r_offset >= array->address && entry.r_offset - array->address < array->bytes.size())
        out.push_back(static_cast<std::uint64_t>(entry.r_addend));
    });
  }
  return out;
}

void read_initialisers(const ElfFile& file, ElfFacts& out) {
  const std::map<std::uint64_t, std::string> names = function_names(file);
  const std::vector<std::uint64_t> addresses = initialiser_addresses(file);
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const auto name = names.find(addresses[i]);
    if (name != names.end() && is_toolchains(name->second)) continue;
    // Stripped: the toolchain's own comes first and has no name either.
    if (name == names.end() && i == 0) continue;
    char text[24];
    std::snprintf(text, sizeof text, "0x%" PRIx64, addresses[i]);
    out.initialisers.push_back(name == names.end() ? text : name->second);
  }
}

}  // namespace

Result<ElfFacts> read_elf_facts(const ElfFile& file, const std::string& where) {
  ElfFacts out;
  TENON_TRY(read_symbols(file, where, out));
  TENON_TRY(read_dynamic(file, where, out));
  read_versions(file, out);
  read_initialisers(file, out);
  // The system loader makes the stack executable for a library that does not say how it wants it.
  const auto stack =
      std::find_if(file.segments.begin(), file.segments.end(),
                   [](const ElfSegment& segment) { return segment.type == PT_GNU_STACK; });
  out.executable_stack = stack == file.segments.end() || (stack->flags & PF_X) != 0;
  return out;
}

}  // namespace tenon
