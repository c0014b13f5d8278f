// Do the plugins of a manifest fit together? Compared from descriptors and parameters alone, before
// anything is opened.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/plugin/compatibility.h"
#include "core/plugin/solver.h"

namespace tenon {

struct ComposedPlugin {
  std::string role;  // as in core/manifest/manifest.h
  const PluginDescriptor* descriptor = nullptr;
  const ResolvedParams* params = nullptr;
  std::string where;  // of the role in the manifest
};

// What this host brings itself.
struct HostOffer {
  std::vector<std::string> interfaces;  // tables it can call
  std::vector<std::string> services;    // tables it gives
  CoreOffer provided;                   // claims that hold unless a plugin says otherwise
};
const HostOffer& host_offer();

// The role that plugins of this kind fill in a manifest; "" for a kind of no role.
std::string role_of_kind(std::string_view kind);

// What the plugin says here. TENON-P030: wrong kind for its role; P033: no interface that this host
// speaks; P034: a service that this host does not have; and the errors of make_contract().
Result<Contract> compose_one(const ComposedPlugin& plugin, const HostOffer& host = host_offer());

// Solves, and looks each pair up in the record.
Verdict judge(std::span<const Contract> contracts, const CoreOffer& core,
              const CompatibilityRecord& record);

}  // namespace tenon
