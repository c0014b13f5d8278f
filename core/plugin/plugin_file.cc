#include "core/plugin/plugin_file.h"

#include <elf.h>

#include "core/base/hash.h"
#include "core/plugin/elf.h"
#include "core/plugin/trust.h"

namespace tenon {
namespace {

constexpr std::uint16_t kMachine = EM_X86_64;

}  // namespace

Result<PluginFile> read_plugin_file(const std::string& path,
                                    std::shared_ptr<const HostConfig> host) {
  TENON_ASSIGN(const TrustedFile read, read_trusted(path, host != nullptr ? *host : HostConfig()));
  const auto bytes = std::as_bytes(std::span(read.content.data(), read.content.size()));
  TENON_ASSIGN(const ElfFile elf, read_elf(bytes, path));
  if (elf.machine != kMachine)
    return Error{.code = Code::kFailedPrecondition,
                 .id = "TENON-P003",
                 .message = "the library is built for another machine",
                 .where = path,
                 .found = "ELF machine " + std::to_string(elf.machine),
                 .expected = std::to_string(kMachine) + " (x86-64)",
                 .fix = "build the plugin for x86-64"};
  const ElfSection* section = find_section(elf, TENON_DESCRIPTOR_SECTION);
  if (section == nullptr)
    return Error{
        .code = Code::kInvalidArgument,
        .id = "TENON-P004",
        .message = "the library is no Tenon plugin: it has no section " TENON_DESCRIPTOR_SECTION,
        .where = path,
        .fix = "build it with tenon_add_plugin() of the SDK"};
  PluginFile out;
  out.path = read.path;
  out.sha256 = sha256_hex(bytes);
  out.host = std::move(host);
  TENON_ASSIGN(out.facts, read_elf_facts(elf, path));
  const std::string_view raw(reinterpret_cast<const char*>(section->bytes.data()),
                             section->bytes.size());
  TENON_ASSIGN(out.descriptor, parse_descriptor(raw, path));
  return out;
}

}  // namespace tenon
