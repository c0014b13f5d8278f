// From a manifest to the plugins that it names, checked against each other. Nothing is opened:
// every refusal that can be known from files and descriptors is made here.
#pragma once

#include <vector>

#include "core/manifest/manifest.h"
#include "core/plugin/catalog.h"
#include "core/plugin/params.h"

namespace tenon {

struct ChosenPlugin {
  std::string role;
  const PluginFile* file = nullptr;  // of the catalog
  ResolvedParams params;
  std::string where;
};

// In the order network, backend, attention, scheduler, caches, adapter, tp, comm; the last three
// only where the manifest has them. A library that the manifest pins enters the catalog. Beside the
// errors of the parts: TENON-P024: a pinned file has another sha256; P025: it is another plugin;
// P026: the host wants pins and the manifest has none.
Result<std::vector<ChosenPlugin>> choose_plugins(const Manifest& manifest, PluginCatalog& catalog);

}  // namespace tenon
