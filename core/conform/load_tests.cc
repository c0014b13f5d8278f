// Opening the library, before there is an instance.
#include <dlfcn.h>
#include <unistd.h>
#include <xmmintrin.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/conform/process_watch.h"
#include "core/conform/rig.h"
#include "core/conform/test.h"
#include "core/plugin/library.h"

namespace tenon::conform {
namespace {

namespace fs = std::filesystem;

Finding opens(const Subject& s) {
  TENON_ASSIGN(const tenon_plugin_v1* table, open_plugin(s.file));
  (void)table;
  return passed();
}

Finding stays(const Subject& s) {
  TENON_ASSIGN(const tenon_plugin_v1* first, open_plugin(s.file));
  TENON_ASSIGN(const tenon_plugin_v1* second, open_plugin(s.file));
  if (first != second) return failed("the entry gives another table each time");
  Dl_info info{};
  if (s.file.entry == nullptr &&
      (::dladdr(first, &info) == 0 || !std::strstr(info.dli_fname, s.file.sha256.c_str())))
    return failed("the table is not in the library's static storage");
  return passed();
}

Finding starts_no_thread(const Subject& s) {
  const std::size_t before = threads_of_this_process();
  TENON_TRY(open_plugin(s.file));
  const std::size_t after = threads_of_this_process();
  if (after != before)
    return failed("opening it started " + std::to_string(after - before) + " threads");
  return passed();
}

// -ffast-math at link time flushes denormals in whoever opens the library.
Finding keeps_float_mode(const Subject& s) {
  const unsigned before = _mm_getcsr();
  TENON_TRY(open_plugin(s.file));
  const unsigned after = _mm_getcsr();
  _mm_setcsr(before);
  constexpr unsigned kModes = 0xffc0;  // all but the sticky flags
  if ((before & kModes) != (after & kModes))
    return failed("opening it changed how floats are rounded or flushed: link without -ffast-math");
  return passed();
}

Finding keeps_signals(const Subject& s) {
  constexpr int kSignals[] = {SIGINT, SIGTERM, SIGSEGV, SIGFPE, SIGPIPE, SIGABRT, SIGCHLD};
  struct sigaction before[std::size(kSignals)], after{};
  for (std::size_t i = 0; i < std::size(kSignals); ++i)
    ::sigaction(kSignals[i], nullptr, &before[i]);
  TENON_TRY(open_plugin(s.file));
  for (std::size_t i = 0; i < std::size(kSignals); ++i) {
    ::sigaction(kSignals[i], nullptr, &after);
    if (after.sa_handler != before[i].sa_handler)
      return failed("opening it changed the handler of signal " + std::to_string(kSignals[i]));
  }
  return passed();
}

// A copy with another content, as another version would be: one byte after the end of the tables.
// It lies where the operator allows no plugins, and is none of somebody else's.
Result<PluginFile> second_image(const Subject& s, const fs::path& folder) {
  const fs::path copy = folder / ("second-" + fs::path(s.file.path).filename().string());
  fs::copy_file(s.file.path, copy, fs::copy_options::overwrite_existing);
  fs::permissions(copy, fs::perms::owner_write, fs::perm_options::add);
  std::ofstream(copy, std::ios::app | std::ios::binary) << '\0';
  HostConfig host = s.file.host != nullptr ? *s.file.host : HostConfig();
  host.plugin_directories.clear();
  return read_plugin_file(copy.string(), std::make_shared<const HostConfig>(std::move(host)));
}

// Two images of one library: what the first does must not be seen in the second.
Finding images_are_apart(const Subject& s) {
  if (s.file.path.empty()) return skipped("built in");
  char name[] = "/tmp/tenon-conform-XXXXXX";
  if (::mkdtemp(name) == nullptr) return skipped("no temporary folder");
  const auto second = second_image(s, name);
  std::error_code ignored;
  if (!second.ok()) {
    fs::remove_all(name, ignored);
    return Finding(second.error());
  }
  Finding out = passed();
  const auto a = open_plugin(s.file), b = open_plugin(*second);
  if (!b.ok())
    out = Finding(b.error());
  else if (!a.ok())
    out = Finding(a.error());
  else if (*a == *b || (*a)->create == (*b)->create)
    out = failed("two versions of it run the same code: symbols are shared between them");
  fs::remove_all(name, ignored);
  return out;
}

Finding epoch(const Subject& s) {
  TENON_ASSIGN(const tenon_plugin_v1* table, open_plugin(s.file));
  if (table->abi_epoch != s.descriptor().abi_epoch)
    return failed("the table is of epoch " + std::to_string(table->abi_epoch) +
                  ", the descriptor says " + std::to_string(s.descriptor().abi_epoch));
  if (table->hdr.size < sizeof(tenon_plugin_v1))
    return failed("the table's size is " + std::to_string(table->hdr.size));
  if (table->reserved != 0) return failed("a reserved field is not 0");
  return passed();
}

Finding headers(const Subject& s) {
  TENON_ASSIGN(const tenon_plugin_v1* table, open_plugin(s.file));
  if (table->hdr.next != nullptr || table->hdr.type != 0)
    return failed("the table's header links something that is not defined");
  return passed();
}

constexpr Test kTests[] = {
    {"load.opens", "The system loader opens it.", nullptr, opens},
    {"load.entry", "The entry gives the same static table every time.", nullptr, stays},
    {"load.epoch", "Its table is of the epoch that the descriptor says.", nullptr, epoch},
    {"load.header", "Its table's header says what it is.", nullptr, headers},
    {"load.threads", "Opening it starts no thread.", nullptr, starts_no_thread},
    {"load.float-mode", "Opening it leaves the float mode.", nullptr, keeps_float_mode},
    {"load.signals", "Opening it leaves signal handlers.", nullptr, keeps_signals},
    {"load.two-images", "Two versions of it share nothing.", nullptr, images_are_apart},
};

}  // namespace

std::span<const Test> load_tests() { return kTests; }

}  // namespace tenon::conform
