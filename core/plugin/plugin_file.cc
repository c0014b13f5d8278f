#include "core/plugin/plugin_file.h"

#include <elf.h>

#include <filesystem>
#include <fstream>

#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/plugin/elf.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kMaxBytes = std::uintmax_t{1} << 30;
constexpr std::uint16_t kMachine = EM_X86_64;

Error unreadable(const std::string& path, std::string found) {
  return Error{.code = Code::kNotFound,
               .id = "TENON-P001",
               .message = "cannot read the plugin library",
               .where = path,
               .found = std::move(found),
               .expected = "a regular file"};
}

Result<std::string> read_all(const std::string& path) {
  std::error_code failed;
  const fs::file_status status = fs::status(path, failed);
  if (!fs::exists(status)) return unreadable(path, "no file");
  if (!fs::is_regular_file(status)) return unreadable(path, "not a regular file");
  const std::uintmax_t size = fs::file_size(path, failed);
  if (failed || size > kMaxBytes) return unreadable(path, "more than 1 GiB, or no size");
  std::ifstream file(path, std::ios::binary);
  std::string out(size, '\0');
  if (!file || !file.read(out.data(), static_cast<std::streamsize>(size)))
    return unreadable(path, "no permission, or a read that failed");
  if ((status.permissions() & fs::perms::others_write) != fs::perms::none)
    log(Severity::kWarning, "plugin", path + " can be written by anyone; chmod o-w it");
  return out;
}

}  // namespace

Result<PluginFile> read_plugin_file(const std::string& path) {
  TENON_ASSIGN(const std::string content, read_all(path));
  const auto bytes = std::as_bytes(std::span(content.data(), content.size()));
  TENON_ASSIGN(const ElfFile elf, read_elf(bytes, path));
  if (elf.machine != kMachine)
    return Error{.code = Code::kFailedPrecondition,
                 .id = "TENON-P003",
                 .message = "the library is built for another machine",
                 .where = path,
                 .found = "ELF machine " + std::to_string(elf.machine),
                 .expected = std::to_string(kMachine) + " (x86-64)"};
  const ElfSection* section = find_section(elf, TENON_DESCRIPTOR_SECTION);
  if (section == nullptr)
    return Error{
        .code = Code::kInvalidArgument,
        .id = "TENON-P004",
        .message = "the library is no Tenon plugin: it has no section " TENON_DESCRIPTOR_SECTION,
        .where = path,
        .fix = "build it with tenon_add_plugin() of the SDK"};
  PluginFile out;
  std::error_code failed;
  out.path = fs::canonical(path, failed).string();
  if (failed) return unreadable(path, failed.message());
  out.sha256 = sha256_hex(bytes);
  TENON_ASSIGN(const std::vector<std::string_view> exports, exported_functions(elf, path));
  out.exports.assign(exports.begin(), exports.end());
  const std::string_view raw(reinterpret_cast<const char*>(section->bytes.data()),
                             section->bytes.size());
  TENON_ASSIGN(out.descriptor, parse_descriptor(raw, path));
  return out;
}

}  // namespace tenon
