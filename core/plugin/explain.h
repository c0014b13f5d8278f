// A verdict role by role: what each plugin says, what came of it, and what to change.
#pragma once

#include <string>
#include <vector>

#include "core/plugin/assembly.h"

namespace tenon {

struct ExplainedClaim {
  std::string said;       // "requires kv.restore"
  std::string condition;  // as written; empty: none
  std::string looked;     // "prefill_chunk 64": what the condition was decided by
  bool holds = true;
  std::string outcome;  // "met: tenon.attention.dense (attention) provides kv.restore=token"
};

struct ExplainedRole {
  std::string role, plugin, version;
  std::vector<ExplainedClaim> claims;
};

struct ExplainedConflict {
  std::vector<std::string> roles;
  std::vector<std::string> causes;   // sentences; each would be enough
  std::vector<std::string> changes;  // each resolves this conflict
};

struct Explanation {
  Standing standing = Standing::kOk;
  std::vector<ExplainedRole> roles;
  std::vector<ExplainedConflict> conflicts;
  std::vector<std::string> degraded;  // sentences
  std::vector<std::string> untested;  // "a 1.0.0 with b 1.0.0"
};

Explanation explain(const Assembly& assembly, const PluginCatalog& catalog,
                    const HostOffer& host = host_offer());

// The verdict alone, in lines; then also the roles.
std::string verdict_lines(const Explanation& explanation);
std::string explanation_text(const Explanation& explanation);

}  // namespace tenon
