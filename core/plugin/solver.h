// Which plugins of a manifest cannot stand together, and why. A pure function of contracts.
//
// Meaning. A set of plugins is in conflict when no choice of plugins for the other places of the
// manifest could make it work: a free place may be filled by one that provides whatever its kind
// may provide and says nothing else. A place that the manifest leaves out stays out. So a conflict
// of two plugins is a pair of claims, and a requirement that nobody meets is a conflict of the one
// who requires with all those whose kind could have met it. tests/unit/plugin/solver_test.cc
// compares with this definition, by force.
//
// A token with values is one property of the engine: who requires a value excludes every other one,
// whoever provides it. What the core provides holds where no plugin provides the token.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/plugin/contract.h"

namespace tenon {

enum class CauseKind : std::uint8_t {
  kExcluded,    // one conflicts with what another provides
  kTwoOwners,   // both provide a token of one owner
  kMissing,     // one requires what nothing provides
  kOtherValue,  // one requires a value, another provides a different one
  kOtherNeed,   // what they require or exclude leaves nothing that could be provided
  kFailed,      // the compatibility record says that the two fail together
};

struct Cause {
  CauseKind kind = CauseKind::kExcluded;
  std::string token;  // none for kFailed
  struct Said {
    std::size_t part;
    std::string text;  // "requires kv.restore"
  };
  std::vector<Said> said;           // the claims that are responsible, the asking one first
  std::vector<std::string> absent;  // kMissing: kinds that could provide it and that are not there
};

struct Conflict {
  std::vector<std::size_t> parts;  // indices of the contracts, ascending; no subset is in conflict
  std::vector<Cause> causes;       // each of them would be enough
};

struct Degradation {
  std::size_t part;
  std::string said;     // "prefers rows.split"
  std::string reason;   // what is lost
  std::string because;  // who or what brings it about
};

struct UntestedPair {
  std::size_t a, b;  // indices of the contracts, a < b
};

enum class Standing : std::uint8_t { kOk, kDegraded, kUntested, kConflict };
const char* standing_name(Standing standing);  // "ok", "ok-degraded", "untested", "conflict"

struct Verdict {
  std::vector<Conflict> conflicts;  // all that are minimal
  std::vector<Degradation> degraded;
  std::vector<UntestedPair> untested;

  Standing standing() const;  // the worst of what there is
};

// What the core itself provides: claims without conditions.
using CoreOffer = std::vector<Claim>;

// All but `untested`, and causes of kind kFailed.
Verdict solve(std::span<const Contract> contracts, const CoreOffer& core);

// Keeps the minimal sets and joins the causes of equal ones.
std::vector<Conflict> minimal(std::vector<Conflict> conflicts);

// Who meets a requirement: indices of contracts; empty where the core does or nobody.
std::vector<std::size_t> providers(std::span<const Contract> contracts, std::size_t asking,
                                   const Claim& claim);
// The value or token that the core gives for a claim, where no plugin provides its token; null:
// none.
const Claim* core_provision(std::span<const Contract> contracts, std::size_t asking,
                            const CoreOffer& core, const std::string& token);

}  // namespace tenon
