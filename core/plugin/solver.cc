#include "core/plugin/solver.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/plugin/vocabulary.h"

namespace tenon {
namespace {

// No value means any of them, on either side.
bool meets(const Claim& provided, const Claim& asked) {
  if (provided.token != asked.token) return false;
  if (asked.values.empty() || provided.values.empty()) return true;
  return std::any_of(provided.values.begin(), provided.values.end(), [&](const std::string& value) {
    return std::find(asked.values.begin(), asked.values.end(), value) != asked.values.end();
  });
}

std::string said(const ContractClaim& claim) {
  return std::string(claim_field_name(claim.field)) + " " + claim.claim.subject();
}

// The same claims, whoever of them was found first.
bool same(const Cause& a, const Cause& b) {
  const auto sorted = [](const Cause& cause) {
    std::set<std::pair<std::size_t, std::string>> out;
    for (const Cause::Said& each : cause.said) out.emplace(each.part, each.text);
    return out;
  };
  return a.kind == b.kind && sorted(a) == sorted(b);
}

struct Provision {
  std::size_t part;
  const ContractClaim* claim;
};

class Solver {
 public:
  Solver(std::span<const Contract> contracts, const CoreOffer& core)
      : contracts_(contracts), core_(core) {
    each(ClaimField::kProvides, [this](std::size_t part, const ContractClaim& claim) {
      provided_[claim.claim.token].push_back({part, &claim});
    });
  }

  std::vector<Conflict> conflicts() {
    each(ClaimField::kConflicts, [this](std::size_t part, const ContractClaim& claim) {
      for (const Provision& other : of(claim.claim.token))
        if (other.part != part && meets(other.claim->claim, claim.claim))
          found(CauseKind::kExcluded, {{part, &claim}, other});
    });
    each(ClaimField::kRequires,
         [this](std::size_t part, const ContractClaim& claim) { check_need(part, claim); });
    for (const auto& [token, provisions] : provided_) check_owners(token, provisions);
    return minimal(std::move(found_));
  }

  std::vector<Degradation> degraded() const {
    std::vector<Degradation> out;
    each(ClaimField::kPrefers, [&](std::size_t part, const ContractClaim& claim) {
      if (std::string why = unmet(part, claim.claim); !why.empty())
        out.push_back({part, said(claim), claim.reason, std::move(why)});
    });
    each(ClaimField::kAvoids, [&](std::size_t part, const ContractClaim& claim) {
      for (const Provision& other : of(claim.claim.token))
        if (other.part != part && meets(other.claim->claim, claim.claim)) {
          out.push_back({part, said(claim), claim.reason, text_of(other)});
          return;
        }
    });
    return out;
  }

 private:
  template <class Do>
  void each(ClaimField field, Do&& action) const {
    for (std::size_t part = 0; part < contracts_.size(); ++part)
      for (const ContractClaim& claim : contracts_[part].claims)
        if (claim.field == field && claim.holds) action(part, claim);
  }

  const std::vector<Provision>& of(const std::string& token) const {
    static const std::vector<Provision> none;
    const auto at = provided_.find(token);
    return at == provided_.end() ? none : at->second;
  }

  std::string text_of(const Provision& provision) const {
    return contracts_[provision.part].name() + " " + said(*provision.claim);
  }

  void found(CauseKind kind, const std::vector<Provision>& by,
             const std::vector<std::size_t>& also = {}, std::vector<std::string> absent = {}) {
    Conflict conflict;
    Cause cause{.kind = kind, .token = by.front().claim->claim.token, .absent = std::move(absent)};
    for (const Provision& each : by) {
      conflict.parts.push_back(each.part);
      cause.said.push_back({each.part, said(*each.claim)});
    }
    conflict.parts.insert(conflict.parts.end(), also.begin(), also.end());
    conflict.causes.push_back(std::move(cause));
    found_.push_back(std::move(conflict));
  }

  // A plugin that provides the token in several claims provides the value if one of them does.
  bool gives(std::size_t part, const Claim& asked) const {
    const std::vector<Provision>& all = of(asked.token);
    return std::any_of(all.begin(), all.end(), [&](const Provision& each) {
      return each.part == part && meets(each.claim->claim, asked);
    });
  }

  void check_need(std::size_t part, const ContractClaim& need) {
    bool met = false;
    for (const Provision& other : of(need.claim.token)) {
      if (gives(other.part, need.claim))
        met = met || other.part != part;
      else
        found(CauseKind::kOtherValue, {{part, &need}, other});
    }
    if (std::any_of(core_.begin(), core_.end(),
                    [&](const Claim& core) { return meets(core, need.claim); }))
      return;
    if (!met) found_missing(part, need);
    for (const std::vector<Provision>& family : blocking_families({part, &need}))
      found(CauseKind::kOtherNeed, family);
  }

  void found_missing(std::size_t part, const ContractClaim& need) {
    std::vector<std::size_t> lacking;
    std::vector<std::string> absent;
    for (const std::string_view kind : find_token(need.claim.token)->kinds) {
      if (kind.empty()) continue;
      bool there = kind == contracts_[part].kind;
      for (std::size_t other = 0; other < contracts_.size(); ++other) {
        if (contracts_[other].kind != kind || other == part) continue;
        lacking.push_back(other);
        there = true;
      }
      if (!there) absent.emplace_back(kind);
    }
    found(CauseKind::kMissing, {{part, &need}}, lacking, std::move(absent));
  }

  void check_owners(const std::string& token, const std::vector<Provision>& provisions) {
    if (const VocabularyToken* known = find_token(token); known == nullptr || !known->one_owner)
      return;
    for (std::size_t i = 0; i < provisions.size(); ++i)
      for (std::size_t j = i + 1; j < provisions.size(); ++j)
        if (provisions[i].part != provisions[j].part)
          found(CauseKind::kTwoOwners, {provisions[i], provisions[j]});
  }

  // The smallest families, the need among them, of which no value of the token is left that a free
  // place could provide. Who provides the token is in none of them: it meets the need, or is in
  // conflict with it already.
  std::vector<std::vector<Provision>> blocking_families(const Provision& need) const {
    const std::string& name = need.claim->claim.token;
    const VocabularyToken& token = *find_token(name);
    std::vector<Provision> sayers;
    for (const ClaimField field : {ClaimField::kRequires, ClaimField::kConflicts})
      each(field, [&](std::size_t part, const ContractClaim& claim) {
        if (claim.claim.token == name && (part == need.part || !provides(part, name)))
          sayers.push_back({part, &claim});
      });
    if (token.one_owner && provides(need.part, name)) return {{need}};
    std::vector<std::vector<Provision>> families = {{need}};
    if (token.values.front().empty()) return with_blocker(families, "", sayers);
    for (const std::string_view value : token.values)
      if (!value.empty()) families = with_blocker(families, std::string(value), sayers);
    return families;
  }

  bool provides(std::size_t part, const std::string& token) const {
    const std::vector<Provision>& all = of(token);
    return std::any_of(all.begin(), all.end(),
                       [&](const Provision& each) { return each.part == part; });
  }

  static bool blocks(const ContractClaim& claim, const std::string& value) {
    const std::vector<std::string>& values = claim.claim.values;
    const bool named = std::find(values.begin(), values.end(), value) != values.end();
    return claim.field == ClaimField::kConflicts ? values.empty() || named
                                                 : !values.empty() && !named;
  }

  // Those families that block the value, or do with one more that says so.
  static std::vector<std::vector<Provision>> with_blocker(
      const std::vector<std::vector<Provision>>& families, const std::string& value,
      const std::vector<Provision>& sayers) {
    const auto blocking = [&](const Provision& each) { return blocks(*each.claim, value); };
    std::vector<std::vector<Provision>> out;
    for (const std::vector<Provision>& family : families) {
      if (std::any_of(family.begin(), family.end(), blocking)) {
        out.push_back(family);
        continue;
      }
      for (const Provision& sayer : sayers) {
        if (!blocking(sayer)) continue;
        out.push_back(family);
        out.back().push_back(sayer);
      }
    }
    return out;
  }

  // Why a preference is not met; empty when it is.
  std::string unmet(std::size_t part, const Claim& wanted) const {
    bool met = false;
    for (const Provision& other : of(wanted.token)) {
      if (other.part == part) continue;
      if (!gives(other.part, wanted)) return text_of(other);
      met = true;
    }
    if (met) return "";
    const Claim* core = core_provision(contracts_, part, core_, wanted.token);
    if (core == nullptr) return "nothing here provides " + wanted.token;
    return meets(*core, wanted) ? "" : "the core provides " + core->subject();
  }

  std::span<const Contract> contracts_;
  const CoreOffer& core_;
  std::map<std::string, std::vector<Provision>> provided_;
  std::vector<Conflict> found_;
};

}  // namespace

const char* standing_name(Standing standing) {
  static constexpr const char* kNames[] = {"ok", "ok-degraded", "untested", "conflict"};
  return kNames[static_cast<std::size_t>(standing)];
}

Standing Verdict::standing() const {
  if (!conflicts.empty()) return Standing::kConflict;
  if (!untested.empty()) return Standing::kUntested;
  return degraded.empty() ? Standing::kOk : Standing::kDegraded;
}

std::vector<Conflict> minimal(std::vector<Conflict> conflicts) {
  std::map<std::vector<std::size_t>, std::vector<Cause>> by_parts;
  for (Conflict& conflict : conflicts) {
    const std::set<std::size_t> parts(conflict.parts.begin(), conflict.parts.end());
    std::vector<Cause>& causes = by_parts[{parts.begin(), parts.end()}];
    for (Cause& cause : conflict.causes)
      if (std::none_of(causes.begin(), causes.end(),
                       [&](const Cause& known) { return same(known, cause); }))
        causes.push_back(std::move(cause));
  }
  std::vector<Conflict> out;
  for (auto& entry : by_parts) {
    const std::vector<std::size_t>& parts = entry.first;
    const bool has_smaller = std::any_of(by_parts.begin(), by_parts.end(), [&](const auto& other) {
      return other.first.size() < parts.size() &&
             std::includes(parts.begin(), parts.end(), other.first.begin(), other.first.end());
    });
    if (!has_smaller) out.push_back({parts, std::move(entry.second)});
  }
  return out;
}

std::vector<std::size_t> providers(std::span<const Contract> contracts, std::size_t asking,
                                   const Claim& claim) {
  std::vector<std::size_t> out;
  for (std::size_t part = 0; part < contracts.size(); ++part)
    if (part != asking && std::any_of(contracts[part].claims.begin(), contracts[part].claims.end(),
                                      [&](const ContractClaim& other) {
                                        return other.field == ClaimField::kProvides &&
                                               other.holds && meets(other.claim, claim);
                                      }))
      out.push_back(part);
  return out;
}

const Claim* core_provision(std::span<const Contract> contracts, std::size_t asking,
                            const CoreOffer& core, const std::string& token) {
  if (!providers(contracts, asking, {.token = token}).empty()) return nullptr;
  const auto at = std::find_if(core.begin(), core.end(),
                               [&](const Claim& claim) { return claim.token == token; });
  return at == core.end() ? nullptr : &*at;
}

Verdict solve(std::span<const Contract> contracts, const CoreOffer& core) {
  Solver solver(contracts, core);
  Verdict out;
  out.conflicts = solver.conflicts();
  out.degraded = solver.degraded();
  return out;
}

}  // namespace tenon
