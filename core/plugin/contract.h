// What one chosen plugin says in one manifest: its claims with their conditions decided by the
// parameters that it will run with.
#pragma once

#include <string>
#include <vector>

#include "core/plugin/claim.h"
#include "core/plugin/params.h"

namespace tenon {

struct ContractClaim {
  ClaimField field = ClaimField::kProvides;
  Claim claim;
  bool holds = true;   // its condition, where it has one
  std::string looked;  // at what the condition looked: "prefill_chunk 64"
  std::string reason;  // of prefers and avoids
};

struct Contract {
  std::string role;  // as in core/manifest/manifest.h; "engine" for what the manifest itself asks
  std::string kind;  // of the plugin; "engine" for the manifest
  std::string id, version;
  std::string where;
  std::vector<ContractClaim> claims;

  std::string name() const;  // "tenon.cache.prefix (cache)"
};

// Every claim is in words of the vocabulary. TENON-P006: a claim of no form; P061..P063: of words
// that do not exist.
Result<Contract> make_contract(const std::string& role, const PluginDescriptor& descriptor,
                               const ResolvedParams& params, const std::string& where);

}  // namespace tenon
