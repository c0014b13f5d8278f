// What would resolve a conflict: tried out, not guessed.
#pragma once

#include <string>
#include <vector>

#include "core/plugin/catalog.h"
#include "core/plugin/compose.h"

namespace tenon {

// Each change makes this conflict go and brings no other one: a parameter, another plugin of the
// catalog for one of its roles (a line for each role), or a plugin for a role that is empty.
std::vector<std::string> remedies(std::span<const Contract> contracts, const Conflict& conflict,
                                  const Verdict& verdict, const PluginCatalog& catalog,
                                  const HostOffer& host = host_offer());

}  // namespace tenon
