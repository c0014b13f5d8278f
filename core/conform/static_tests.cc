// What can be said of a library without opening it.
#include <algorithm>
#include <array>
#include <filesystem>

#include "core/conform/test.h"
#include "core/manifest/version.h"
#include "core/plugin/compose.h"
#include "core/plugin/elf_rules.h"

namespace tenon::conform {
namespace {

Finding from(const Status& status) { return status.ok() ? passed() : Finding(status.error()); }

// The one rule of elf_rules.h that a test is about; another broken one is another test's.
Finding rule(const Subject& subject, ElfFacts only) {
  only.exports.emplace_back(TENON_ENTRY_SYMBOL);
  return from(check_elf_rules(only, {}, subject.file.path));
}

Finding stack(const Subject& s) {
  return rule(s, {.executable_stack = s.file.facts.executable_stack});
}
Finding relocations(const Subject& s) {
  return rule(s, {.text_relocations = s.file.facts.text_relocations});
}
Finding search_path(const Subject& s) {
  return rule(s, {.search_paths = s.file.facts.search_paths});
}
Finding imports(const Subject& s) {
  ElfFacts only;
  for (const std::string& name : s.file.facts.needed)
    if (!name.starts_with("libprotobuf")) only.needed.push_back(name);
  return rule(s, only);
}
Finding protobuf(const Subject& s) {
  ElfFacts only{.imports = s.file.facts.imports};
  for (const std::string& name : s.file.facts.needed)
    if (name.starts_with("libprotobuf")) only.needed.push_back(name);
  return rule(s, only);
}
Finding unique(const Subject& s) { return rule(s, {.unique = s.file.facts.unique}); }
Finding entry(const Subject& s) {
  const auto& exports = s.file.facts.exports;
  if (std::find(exports.begin(), exports.end(), TENON_ENTRY_SYMBOL) != exports.end())
    return passed();
  return from(check_elf_rules({}, {}, s.file.path));
}
Finding one_export(const Subject& s) {
  ElfFacts only{.exports = s.file.facts.exports};
  // Unique ones are another test's.
  for (const std::string& name : s.file.facts.unique) std::erase(only.exports, name);
  std::erase(only.exports, TENON_ENTRY_SYMBOL);
  return rule(s, only);
}

Finding initialisers(const Subject& s) {
  const std::vector<std::string>& found = s.file.facts.initialisers;
  if (found.empty()) return passed();
  return failed("runs when it is opened: " + list_text(found) +
                "; make the objects when create() is called, or constexpr");
}

// Debian 11 and everything younger.
Finding glibc(const Subject& s) {
  const auto needed = parse_version(s.file.facts.glibc + ".0");
  if (s.file.facts.glibc.empty() || !needed || !(Version{2, 36, 0} < *needed)) return passed();
  return warned("needs glibc " + s.file.facts.glibc + ": older systems cannot open it");
}

// What must not be called from a library inside a server.
Finding calls(const Subject& s) {
  static constexpr std::array kEnding = {"exit",   "_exit",  "quick_exit", "system",    "fork",
                                         "vfork",  "execve", "execv",      "execvp",    "popen",
                                         "dlopen", "signal", "sigaction",  "setlocale", "chdir",
                                         "setenv", "putenv"};
  std::vector<std::string> found;
  for (const std::string& name : s.file.facts.imports)
    if (std::find(kEnding.begin(), kEnding.end(), name) != kEnding.end()) found.push_back(name);
  if (found.empty()) return passed();
  return failed("calls what changes or ends the whole process: " + list_text(found));
}

Finding output(const Subject& s) {
  static constexpr std::array kWriting = {"printf",    "puts",         "putchar",
                                          "vprintf",   "__printf_chk", "_ZSt4cout",
                                          "_ZSt4cerr", "stdout",       "stderr"};
  std::vector<std::string> found;
  for (const std::string& name : s.file.facts.imports)
    if (std::find(kWriting.begin(), kWriting.end(), name) != kWriting.end()) found.push_back(name);
  if (found.empty()) return passed();
  return warned("writes to the process's output: " + list_text(found) + "; use the host's log");
}

Finding threads(const Subject& s) {
  static constexpr std::array kStarting = {"pthread_create", "thrd_create",
                                           "_ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_"
                                           "StateESt14default_deleteIS1_EEPFvvE"};
  for (const std::string& name : s.file.facts.imports)
    if (std::find(kStarting.begin(), kStarting.end(), name) != kStarting.end())
      return failed("starts threads of its own (" + name +
                    "): the engine owns every thread; use tenon.threads");
  return passed();
}

Finding identity(const Subject& s) {
  const PluginDescriptor& d = s.descriptor();
  if (d.title.empty()) return failed("the descriptor has no title");
  if (!parse_version(d.version)) return failed("\"" + d.version + "\" is no version");
  const std::size_t parts = 1 + static_cast<std::size_t>(std::count(d.id.begin(), d.id.end(), '.'));
  if (parts < 3)
    return warned("the id \"" + d.id + "\" has " + std::to_string(parts) +
                  " parts; org.example.name keeps strangers' plugins apart");
  return passed();
}

Finding licence(const Subject& s) {
  return s.descriptor().license.empty() ? failed("the descriptor names no licence (SPDX)")
                                        : passed();
}

Finding paper(const Subject& s) {
  const PluginDescriptor& d = s.descriptor();
  if (d.paper_title.empty() != d.paper_reference.empty())
    return failed("the descriptor has half a paper: title and reference belong together");
  return passed();
}

Finding numerics(const Subject& s) {
  const PluginDescriptor& d = s.descriptor();
  if (d.numerics == Numerics::kUnspecified)
    return failed("the descriptor does not say its numerics: EXACT, SPLIT or APPROX");
  if (d.oracle.empty())
    return failed("the descriptor names no oracle: what its exact setting equals");
  return passed();
}

Finding parameters(const Subject& s) {
  for (const ParamSpec& spec : s.descriptor().params) {
    if (spec.doc.empty()) return failed("parameter \"" + spec.key + "\" has no doc");
    const bool number = spec.type == ParamType::kInt64 || spec.type == ParamType::kDouble;
    const bool bounded = spec.type == ParamType::kInt64 ? spec.min_int && spec.max_int
                                                        : spec.min_double && spec.max_double;
    if (number && !bounded)
      return warned("parameter \"" + spec.key + "\" has no range: any number will be given to it");
  }
  return passed();
}

Finding interfaces(const Subject& s) {
  const PluginDescriptor& d = s.descriptor();
  const std::string own = "tenon." + d.kind + "/";
  for (const std::string& id : d.interfaces)
    if (id.starts_with(own)) return passed();
  return failed("lists no interface of its kind, " + own + "1, but " + list_text(d.interfaces));
}

Finding services(const Subject& s) {
  const HostOffer& host = host_offer();
  for (const std::string& id : s.descriptor().services)
    if (std::find(host.services.begin(), host.services.end(), id) == host.services.end())
      return failed("needs service " + id + ", which this host does not have");
  return passed();
}

Finding place(const Subject& s) {
  if (s.file.path.empty()) return skipped("built in");
  const std::string name = std::filesystem::path(s.file.path).filename().string();
  if (!name.ends_with(".so")) return failed(name + " does not end in .so: no catalog will find it");
  return passed();
}

constexpr Test kTests[] = {
    {"static.entry", "The library exports tenon_plugin_entry_v1.", nullptr, entry},
    {"static.exports", "It exports nothing else.", nullptr, one_export},
    {"static.unique", "No symbol is shared between two versions of it.", nullptr, unique},
    {"static.stack", "It asks for no executable stack.", nullptr, stack},
    {"static.relocations", "Its code is not changed when it is opened.", nullptr, relocations},
    {"static.search-path", "It brings no search path.", nullptr, search_path},
    {"static.imports", "It needs only libraries that every host has.", nullptr, imports},
    {"static.protobuf", "It does not use Protobuf.", nullptr, protobuf},
    {"static.initialisers", "Opening it runs no code of its own.", nullptr, initialisers},
    {"static.glibc", "It opens on systems of the last years.", nullptr, glibc},
    {"static.process", "It calls nothing that changes or ends the process.", nullptr, calls},
    {"static.output", "It writes nothing to the process's output.", nullptr, output},
    {"static.threads", "It starts no threads.", nullptr, threads},
    {"static.identity", "The descriptor has an id, a version and a title.", nullptr, identity},
    {"static.licence", "The descriptor names a licence.", nullptr, licence},
    {"static.paper", "A paper has a title and a reference.", nullptr, paper},
    {"static.numerics", "The descriptor says its numerics and its oracle.", nullptr, numerics},
    {"static.parameters", "Each parameter has a doc, each number a range.", nullptr, parameters},
    {"static.interfaces", "It lists the interface of its kind.", nullptr, interfaces},
    {"static.services", "It needs only services that this host has.", nullptr, services},
    {"static.file", "A catalog finds the file by its name.", nullptr, place},
};

}  // namespace

std::span<const Test> static_tests() { return kTests; }

}  // namespace tenon::conform
