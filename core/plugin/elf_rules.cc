#include "core/plugin/elf_rules.h"

#include <algorithm>
#include <array>

#include "core/plugin/descriptor.h"
#include "tenon/abi/abi.h"

namespace tenon {
namespace {

constexpr std::array kImports = {
    "libc.so.6",       "libm.so.6",    "libstdc++.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2",
    "libpthread.so.0", "libdl.so.2",   "librt.so.1",     "libcuda.so.*",  "libcudart.so.*",
    "libpcre2-8.so.0", "libasan.so.*", "libubsan.so.*",  "libtsan.so.*",  "libclang_rt.*"};

bool matches(std::string_view name, std::string_view pattern) {
  if (pattern.ends_with('*')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return name == pattern;
}

bool is_protobuf(const std::string& name) {
  return name.starts_with("libprotobuf") || name.find("6google8protobuf") != std::string::npos;
}

Error refusal(const char* id, std::string message, const std::string& where, std::string found,
              std::string fix) {
  return Error{.code = Code::kFailedPrecondition,
               .id = id,
               .message = std::move(message),
               .where = where,
               .found = std::move(found),
               .fix = std::move(fix)};
}

// At most so many names, and how many there are.
std::string some(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 4;
  if (names.size() <= kShown) return list_text(names);
  return list_text({names.begin(), names.begin() + kShown}) + " and " +
         std::to_string(names.size() - kShown) + " more";
}

Status check_dependencies(const ElfFacts& facts, std::span<const std::string> more,
                          const std::string& where) {
  if (!facts.search_paths.empty())
    return refusal("TENON-P102", "the library brings its own search path", where,
                   list_text(facts.search_paths),
                   "link it without -rpath; tenon_add_plugin() does");
  for (const auto* names : {&facts.needed, &facts.imports, &facts.exports})
    for (const std::string& name : *names)
      if (is_protobuf(name))
        return refusal("TENON-P106",
                       "the library uses Protobuf, which allows each message once per process",
                       where, name, "read parameters from create(); keep Protobuf out of plugins");
  for (const std::string& name : facts.needed) {
    const auto allows = [&](std::string_view pattern) { return matches(name, pattern); };
    if (std::any_of(kImports.begin(), kImports.end(), allows) ||
        std::any_of(more.begin(), more.end(), allows))
      continue;
    Error error =
        refusal("TENON-P103", "the library needs another that is not allowed", where, name,
                "link it statically, or allow it in the host configuration: "
                "allow_import: \"" +
                    name + "\"");
    error.expected = "only libraries of the toolchain, of CUDA, or allowed ones";
    return error;
  }
  return {};
}

}  // namespace

Status check_elf_rules(const ElfFacts& facts, std::span<const std::string> more_imports,
                       const std::string& where) {
  if (facts.executable_stack)
    return refusal("TENON-P100", "the library asks for an executable stack", where, {},
                   "link it with -Wl,-z,noexecstack; tenon_add_plugin() does");
  if (facts.text_relocations)
    return refusal("TENON-P101", "the library's code must be changed when it is opened", where,
                   "text relocations", "compile everything in it with -fPIC");
  TENON_TRY(check_dependencies(facts, more_imports, where));
  if (!facts.unique.empty())
    return refusal("TENON-P105", "two versions of this library would share state", where,
                   "unique symbols: " + some(facts.unique),
                   "compile it with -fvisibility=hidden -fno-gnu-unique; tenon_add_plugin() does");
  std::vector<std::string> others = facts.exports;
  const auto last = std::remove(others.begin(), others.end(), TENON_ENTRY_SYMBOL);
  if (last == others.end())
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-P041",
                 .message = "the library does not export " TENON_ENTRY_SYMBOL,
                 .where = where,
                 .fix =
                     "end the plugin's source with TENON_PLUGIN(...) and link it with the SDK's "
                     "plugin.map"};
  others.erase(last, others.end());
  if (!others.empty())
    return refusal("TENON-P104", "the library exports more than its entry", where, some(others),
                   "link it with the SDK's plugin.map; tenon_add_plugin() does");
  return {};
}

}  // namespace tenon
