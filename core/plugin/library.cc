// The only file that includes Boost.DLL.
#define BOOST_DLL_USE_STD_FS
#include "core/plugin/library.h"

#include <algorithm>
#include <boost/dll/shared_library.hpp>
#include <map>
#include <mutex>

#include "core/plugin/store.h"

namespace tenon {
namespace {

struct OpenLibrary {
  boost::dll::shared_library library;
  PluginEntry entry = nullptr;
};

// Leaked on purpose: no static destructor may touch a plugin.
struct Registry {
  std::mutex mutex;
  std::map<std::string, OpenLibrary> by_path;  // in the store: a path is a content
};
Registry& registry() {
  static Registry* const leaked = new Registry;
  return *leaked;
}

Error no_entry(const PluginFile& file) {
  return Error{.code = Code::kInvalidArgument,
               .id = "TENON-P041",
               .message = file.descriptor.id + " does not export " TENON_ENTRY_SYMBOL,
               .where = file.path,
               .fix =
                   "end the plugin's source with TENON_PLUGIN(...) and link it with the SDK's "
                   "plugin.map"};
}

Status check_room(const PluginFile& file, std::size_t open) {
  const std::uint32_t most = file.host != nullptr ? file.host->max_images : HostConfig().max_images;
  if (open < most) return {};
  return Error{.code = Code::kResourceExhausted,
               .id = "TENON-P046",
               .message = "this process has opened as many libraries as it may",
               .where = file.path,
               .found = std::to_string(open),
               .expected = "max_images: " + std::to_string(most),
               .fix =
                   "libraries stay open until the process ends: start it again, or raise "
                   "max_images in the host configuration"};
}

Result<PluginEntry> open_locked(const PluginFile& file) {
  std::map<std::string, OpenLibrary>& open = registry().by_path;
  // Known without opening: constructors of the library run when it is opened, so a file that cannot
  // work is not.
  const std::vector<std::string>& exports = file.facts.exports;
  if (std::find(exports.begin(), exports.end(), TENON_ENTRY_SYMBOL) == exports.end())
    return no_entry(file);
  TENON_ASSIGN(const std::string path, store_library(file));
  if (const auto at = open.find(path); at != open.end()) return at->second.entry;
  TENON_TRY(check_room(file, open.size()));
  try {
    OpenLibrary made;
    made.library.load(path, boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
    if (!made.library.has(TENON_ENTRY_SYMBOL)) return no_entry(file);
    made.entry = &made.library.get<const tenon_plugin_v1*()>(TENON_ENTRY_SYMBOL);
    return open.emplace(path, std::move(made)).first->second.entry;
  } catch (const std::exception& error) {
    return Error{.code = Code::kFailedPrecondition,
                 .id = "TENON-P040",
                 .message = "the system loader refuses the library",
                 .where = file.path,
                 .found = error.what(),
                 .fix = "link the plugin with -Wl,-z,defs and install what it needs"};
  }
}

Error bad_table(const PluginFile& file, std::string found, std::string expected) {
  return Error{.code = Code::kInvalidArgument,
               .id = "TENON-P043",
               .message = "the table of " + file.descriptor.id + " is not usable",
               .where = file.path,
               .found = std::move(found),
               .expected = std::move(expected),
               .fix = "build the plugin against this host's SDK"};
}

Result<const tenon_plugin_v1*> check_table(const PluginFile& file, const tenon_plugin_v1* table) {
  if (table == nullptr) return bad_table(file, "no table", "a tenon_plugin_v1");
  // The epoch comes first: only within one epoch does the rest of the table mean what is read into
  // it.
  if (table->hdr.size >= offsetof(tenon_plugin_v1, create) && table->abi_epoch != TENON_ABI_EPOCH)
    return Error{.code = Code::kFailedPrecondition,
                 .id = "TENON-P042",
                 .message = "the table of " + file.descriptor.id +
                            " is of another epoch than its descriptor says",
                 .where = file.path,
                 .found = "epoch " + std::to_string(table->abi_epoch),
                 .expected = "epoch " + std::to_string(TENON_ABI_EPOCH),
                 .fix = "build the plugin against this host's SDK"};
  if (!TENON_HAS(table, get_interface))
    return bad_table(file, std::to_string(table->hdr.size) + " bytes",
                     "at least " + std::to_string(sizeof(tenon_plugin_v1)));
  const char* empty = table->create == nullptr          ? "create"
                      : table->destroy == nullptr       ? "destroy"
                      : table->get_interface == nullptr ? "get_interface"
                                                        : nullptr;
  if (empty != nullptr) {
    Error error = bad_table(file, std::string("no ") + empty, "create, destroy and get_interface");
    error.fix = "fill them in where tenon_plugin_entry_v1() makes the table";
    return error;
  }
  return table;
}

}  // namespace

Result<const tenon_plugin_v1*> open_plugin(const PluginFile& file) {
  const std::lock_guard lock(registry().mutex);
  PluginEntry entry = file.entry;
  if (entry == nullptr) {
    TENON_ASSIGN(entry, open_locked(file));
  }
  return check_table(file, entry());
}

}  // namespace tenon
