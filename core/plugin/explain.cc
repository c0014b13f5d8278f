#include "core/plugin/explain.h"

#include <algorithm>

#include "core/plugin/remedy.h"
#include "core/plugin/verdict_text.h"

namespace tenon {
namespace {

std::string names(std::span<const Contract> contracts, const std::vector<std::size_t>& parts) {
  std::vector<std::string> out;
  for (const std::size_t part : parts) out.push_back(contracts[part].name());
  return list_text(out);
}

class Explainer {
 public:
  Explainer(const Assembly& assembly, const HostOffer& host)
      : assembly_(assembly), contracts_(assembly.contracts), host_(host) {}

  ExplainedRole role(std::size_t part) const {
    const Contract& contract = contracts_[part];
    ExplainedRole out{contract.role, contract.id, contract.version, {}};
    for (const ContractClaim& claim : contract.claims) {
      ExplainedClaim& said = out.claims.emplace_back();
      said.said = std::string(claim_field_name(claim.field)) + " " + claim.claim.subject();
      if (claim.claim.condition) said.condition = claim.claim.condition->text;
      said.looked = claim.looked;
      said.holds = claim.holds;
      said.outcome = claim.holds ? outcome(part, claim) : "says nothing here";
    }
    return out;
  }

 private:
  std::string outcome(std::size_t part, const ContractClaim& claim) const {
    switch (claim.field) {
      case ClaimField::kProvides:
        return used_by(part, claim.claim);
      case ClaimField::kRequires:
        return in_conflict(part, claim) ? "in conflict" : met_by(part, claim.claim);
      case ClaimField::kConflicts:
        return in_conflict(part, claim) ? "in conflict" : "nothing here provides it";
      case ClaimField::kPrefers:
      case ClaimField::kAvoids:
        return wish(part, claim);
    }
    return "";
  }

  std::string met_by(std::size_t part, const Claim& claim) const {
    const std::vector<std::size_t> others = providers(contracts_, part, claim);
    if (!others.empty()) return "met by " + names(contracts_, others);
    const Claim* core = core_provision(contracts_, part, host_.provided, claim.token);
    return core == nullptr ? "not met" : "met by the core, which provides " + core->subject();
  }

  // Those whose requirement or preference this meets.
  std::string used_by(std::size_t part, const Claim& provided) const {
    std::vector<std::size_t> users;
    for (std::size_t other = 0; other < contracts_.size(); ++other)
      for (const ContractClaim& claim : contracts_[other].claims) {
        if (!claim.holds || claim.claim.token != provided.token || other == part) continue;
        if (claim.field != ClaimField::kRequires && claim.field != ClaimField::kPrefers) continue;
        const std::vector<std::size_t> by = providers(contracts_, other, claim.claim);
        if (std::find(by.begin(), by.end(), part) == by.end()) continue;
        users.push_back(other);
        break;
      }
    return users.empty() ? "nobody here asks for it" : "for " + names(contracts_, users);
  }

  bool in_conflict(std::size_t part, const ContractClaim& claim) const {
    const std::string text =
        std::string(claim_field_name(claim.field)) + " " + claim.claim.subject();
    for (const Conflict& conflict : assembly_.verdict.conflicts)
      for (const Cause& cause : conflict.causes)
        for (const Cause::Said& said : cause.said)
          if (said.part == part && said.text == text) return true;
    return false;
  }

  std::string wish(std::size_t part, const ContractClaim& claim) const {
    const std::string text =
        std::string(claim_field_name(claim.field)) + " " + claim.claim.subject();
    for (const Degradation& each : assembly_.verdict.degraded)
      if (each.part == part && each.said == text)
        return "degraded: " + each.reason + " (" + each.because + ")";
    return claim.field == ClaimField::kPrefers ? met_by(part, claim.claim)
                                               : "nothing here provides it";
  }

  const Assembly& assembly_;
  std::span<const Contract> contracts_;
  const HostOffer& host_;
};

std::string claim_line(const ExplainedClaim& claim) {
  std::string out = "  " + claim.said;
  if (!claim.condition.empty())
    out += " if " + claim.condition + " (" + claim.looked + ": " +
           (claim.holds ? "it holds" : "it does not hold") + ")";
  return out + ": " + claim.outcome + "\n";
}

}  // namespace

Explanation explain(const Assembly& assembly, const PluginCatalog& catalog, const HostOffer& host) {
  const std::span<const Contract> contracts = assembly.contracts;
  const Verdict& verdict = assembly.verdict;
  Explanation out{.standing = verdict.standing()};
  const Explainer explainer(assembly, host);
  for (std::size_t part = 0; part < contracts.size(); ++part)
    out.roles.push_back(explainer.role(part));
  for (const Conflict& conflict : verdict.conflicts) {
    ExplainedConflict& told = out.conflicts.emplace_back();
    for (const std::size_t part : conflict.parts) told.roles.push_back(contracts[part].role);
    for (const Cause& cause : conflict.causes) told.causes.push_back(cause_text(contracts, cause));
    told.changes = remedies(contracts, conflict, verdict, catalog, host);
  }
  for (const Degradation& each : verdict.degraded)
    out.degraded.push_back(degradation_text(contracts, each));
  for (const UntestedPair& pair : verdict.untested)
    out.untested.push_back(pair_text(contracts, pair));
  return out;
}

std::string verdict_lines(const Explanation& explanation) {
  std::string out = std::string("verdict    ") + standing_name(explanation.standing) + "\n";
  for (const ExplainedConflict& conflict : explanation.conflicts) {
    out += "conflict   " + list_text(conflict.roles) + "\n";
    for (const std::string& cause : conflict.causes) out += "  because  " + cause + "\n";
    for (const std::string& change : conflict.changes) out += "  change   " + change + "\n";
    if (conflict.changes.empty())
      out += "  change   no plugin that is here helps by itself; leave one of these roles out\n";
  }
  for (const std::string& each : explanation.degraded) out += "degraded   " + each + "\n";
  for (const std::string& pair : explanation.untested) out += "untested   " + pair + "\n";
  return out;
}

std::string explanation_text(const Explanation& explanation) {
  std::string out;
  for (const ExplainedRole& role : explanation.roles) {
    out += role.role + ": " + role.plugin + (role.version.empty() ? "" : " " + role.version) + "\n";
    for (const ExplainedClaim& claim : role.claims) out += claim_line(claim);
  }
  return out + verdict_lines(explanation);
}

}  // namespace tenon
