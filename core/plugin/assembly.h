// From a manifest to the plugins that it names, checked against each other. Nothing is opened:
// every refusal that can be known from files and descriptors is made here.
#pragma once

#include <vector>

#include "core/manifest/manifest.h"
#include "core/plugin/catalog.h"
#include "core/plugin/compose.h"
#include "core/plugin/params.h"

namespace tenon {

struct ChosenPlugin {
  std::string role;
  const PluginFile* file = nullptr;  // of the catalog
  ResolvedParams params;
  std::string where;
};

// What a manifest comes to, whether or not its plugins fit together.
struct Assembly {
  std::vector<ChosenPlugin> chosen;
  std::vector<Contract> contracts;  // of the chosen, in their order; then what the manifest asks
  Verdict verdict;
};

// In the order of manifest_roles(). A library that the manifest pins enters the catalog. Errors are
// those of the parts, each by itself, and TENON-P024: a pinned file has another sha256; P025: it is
// another plugin; P026: the host wants pins and the manifest has none.
Result<Assembly> assemble(const Manifest& manifest, PluginCatalog& catalog,
                          const CompatibilityRecord& record = compatibility_record(),
                          const HostOffer& host = host_offer());

// Refuses a conflict, with what would help: see conflict_error(). Whether untested pairs may run is
// the operator's to say: see untested_error().
Status check_conflicts(const Assembly& assembly, const PluginCatalog& catalog,
                       const HostOffer& host = host_offer());

// Both of them.
Result<std::vector<ChosenPlugin>> choose_plugins(
    const Manifest& manifest, PluginCatalog& catalog,
    const CompatibilityRecord& record = compatibility_record());

}  // namespace tenon
