#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/tenon/adapter_store.h"
#include "apps/tenon/cli.h"
#include "apps/tenon/session.h"
#include "core/adapter/adapter_files.h"

namespace tenon::app {
namespace {

using nlohmann::ordered_json;

void print(const ordered_json& value) {
  std::puts(value.dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
}

// A number, or "least to most".
template <class T>
std::string range_text(const std::vector<AdaptedSite>& sites, T AdaptedSite::*member) {
  const auto [least, most] = std::minmax_element(
      sites.begin(), sites.end(),
      [member](const AdaptedSite& a, const AdaptedSite& b) { return a.*member < b.*member; });
  const auto text = [](double value) {
    char out[32];
    std::snprintf(out, sizeof out, "%g", value);
    return std::string(out);
  };
  const std::string first = text(static_cast<double>((*least).*member)),
                    last = text(static_cast<double>((*most).*member));
  return first == last ? first : first + " to " + last;
}

// The last parts of the module paths, and how many of each.
std::map<std::string, int> targets_of(const std::vector<AdaptedSite>& sites) {
  std::map<std::string, int> out;
  for (const AdaptedSite& site : sites) ++out[site.module.substr(site.module.rfind('.') + 1)];
  return out;
}

struct Listed {
  std::string name, path, from;
};

Result<std::vector<Listed>> list_all(const AdapterListCommand& command) {
  std::vector<Listed> out;
  TENON_ASSIGN(const AdapterStore store, AdapterStore::open());
  for (const StoredAdapter& adapter : store.list())
    out.push_back({adapter.name, adapter.path, "store"});
  if (command.manifest.empty()) return out;
  TENON_ASSIGN(const Manifest manifest, load_manifest(command.manifest));
  for (const ManifestAdapter& adapter : manifest.adapters)
    out.push_back({adapter.name, manifest_path(manifest, adapter.path), "manifest"});
  return out;
}

}  // namespace

int run_command(const AdapterListCommand& command) {
  const auto all = list_all(command);
  if (!all.ok()) return report_error(all.error(), command.json);
  ordered_json list = ordered_json::array();
  if (!command.json)
    std::printf("%-24s %-8s %10s  %-12s %s\n", "NAME", "FROM", "SIZE", "IDENTITY", "PATH");
  for (const Listed& adapter : *all) {
    const auto files = AdapterFiles::read(adapter.path);
    if (command.json) {
      list.push_back({{"name", adapter.name}, {"from", adapter.from}, {"path", adapter.path}});
      if (files.ok()) {
        list.back()["bytes"] = files->tensor_bytes();
        list.back()["identity"] = files->identity();
      } else {
        list.back()["error"] = files.error().to_string();
      }
      continue;
    }
    std::printf("%-24s %-8s %7.1f kB  %-12s %s\n", adapter.name.c_str(), adapter.from.c_str(),
                files.ok() ? static_cast<double>(files->tensor_bytes()) / 1e3 : 0.0,
                files.ok() ? files->identity().substr(0, 12).c_str() : "unreadable",
                adapter.path.c_str());
  }
  if (command.json) print(list);
  return kExitOk;
}

int run_command(const AdapterLoadCommand& command) {
  const auto fail = [&](const Error& error) { return report_error(error, command.json); };
  if (!command.name.empty())
    if (const Status name = AdapterStore::check_name(command.name); !name.ok())
      return fail(name.error());
  auto manifest = choose_manifest(command.engine);
  if (!manifest.ok()) return fail(manifest.error());
  const std::string folder = std::filesystem::absolute(command.folder).string();
  const auto wish =
      read_adapters({command.name.empty() ? folder : command.name + "=" + folder}, *manifest);
  if (!wish.ok()) return fail(wish.error());
  add_adapters(*wish, *manifest);
  const auto session = open_session(std::move(*manifest), command.engine);
  if (!session.ok()) return fail(session.error());
  const auto store = AdapterStore::open();
  if (!store.ok()) return fail(store.error());
  const auto kept = store->keep(wish->request, wish->load[0].path);
  if (!kept.ok()) return fail(kept.error());
  for (const AdapterSlot* slot : (*session)->engine->adapters()->loaded()) {
    if (slot->name != kept->name) continue;
    if (command.json) {
      ordered_json sites = ordered_json::array();
      for (const AdaptedSite& site : slot->sites)
        sites.push_back({{"module", site.module}, {"rank", site.rank}, {"scale", site.scale}});
      print({{"name", kept->name},
             {"path", kept->path},
             {"identity", slot->files.identity()},
             {"bytes", slot->files.tensor_bytes()},
             {"sites", std::move(sites)}});
      continue;
    }
    std::printf("name       %s\ntargets   ", kept->name.c_str());
    for (const auto& [target, count] : targets_of(slot->sites))
      std::printf(" %s x%d", target.c_str(), count);
    std::printf("\nrank       %s\nscale      %s\nbytes      %llu\nidentity   %s\nkept in    %s\n",
                range_text(slot->sites, &AdaptedSite::rank).c_str(),
                range_text(slot->sites, &AdaptedSite::scale).c_str(),
                static_cast<unsigned long long>(slot->files.tensor_bytes()),
                slot->files.identity().c_str(), kept->path.c_str());
  }
  return kExitOk;
}

int run_command(const AdapterRemoveCommand& command) {
  const auto store = AdapterStore::open();
  if (!store.ok()) return report_error(store.error(), command.json);
  if (const Status removed = store->remove(command.name); !removed.ok())
    return report_error(removed.error(), command.json);
  if (command.json)
    print({{"name", command.name}, {"removed", true}});
  else
    std::printf("removed %s\n", command.name.c_str());
  return kExitOk;
}

}  // namespace tenon::app
