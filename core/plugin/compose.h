// Do the plugins of a manifest fit together? Compared from descriptors alone, before anything is
// opened.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/plugin/descriptor.h"

namespace tenon {

struct ComposedPlugin {
  std::string role;  // as in core/manifest/manifest.h
  const PluginDescriptor* descriptor = nullptr;
  std::string where;  // of the role in the manifest
};

// What this host brings itself.
struct HostOffer {
  std::vector<std::string> interfaces;  // tables it can call
  std::vector<std::string> services;    // tables it gives
  std::vector<std::string> provided;    // tokens that hold whatever the plugins are
};
const HostOffer& host_offer();

// TENON-P030: wrong kind for its role; P031: a required token that nobody provides; P032: a
// conflict; P033: no interface that this host speaks; P034: a service that this host does not have.
Status check_composition(std::span<const ComposedPlugin> plugins,
                         const HostOffer& host = host_offer());

}  // namespace tenon
