#include "core/plugin/remedy.h"

#include <algorithm>
#include <set>

#include "core/manifest/version.h"

namespace tenon {
namespace {

// With its default parameters; none when it needs one, or does not work in this host.
std::optional<Contract> by_default(const PluginFile& file, const std::string& role,
                                   const HostOffer& host) {
  const auto params = resolve_params(file.descriptor, {});
  if (!params.ok()) return std::nullopt;
  auto contract = compose_one({role, &file.descriptor, &*params, ""}, host);
  if (!contract.ok()) return std::nullopt;
  return std::move(contract).value();
}

// The newest of each id of a kind.
std::vector<const PluginFile*> of_kind(const PluginCatalog& catalog, const std::string& kind) {
  std::map<std::string, const PluginFile*> newest;
  for (const PluginFile& file : catalog.files()) {
    if (file.descriptor.kind != kind) continue;
    const PluginFile*& best = newest[file.descriptor.id];
    if (best == nullptr || parse_version(best->descriptor.version).value_or(Version()) <
                               parse_version(file.descriptor.version).value_or(Version()))
      best = &file;
  }
  std::vector<const PluginFile*> out;
  for (const auto& [id, file] : newest) out.push_back(file);
  return out;
}

class Trial {
 public:
  Trial(std::span<const Contract> contracts, const Conflict& conflict, const Verdict& verdict,
        const HostOffer& host)
      : contracts_(contracts.begin(), contracts.end()), conflict_(conflict), host_(host) {
    for (const Conflict& each : verdict.conflicts) known_.insert(each.parts);
  }

  const Contract& at(std::size_t part) const { return contracts_[part]; }
  bool helps_instead(std::size_t part, Contract other) const {
    std::vector<Contract> changed = contracts_;
    changed[part] = std::move(other);
    return better(changed);
  }
  bool helps_added(Contract other) const {
    std::vector<Contract> changed = contracts_;
    changed.push_back(std::move(other));
    return better(changed);
  }
  // The same plugin with the conditions of one token decided the other way.
  bool helps_turned(std::size_t part, std::size_t claim) const {
    Contract changed = contracts_[part];
    changed.claims[claim].holds = !changed.claims[claim].holds;
    return helps_instead(part, std::move(changed));
  }

 private:
  bool better(std::span<const Contract> changed) const {
    const std::vector<Conflict> left = solve(changed, host_.provided).conflicts;
    return std::all_of(left.begin(), left.end(), [&](const Conflict& each) {
      return each.parts != conflict_.parts && known_.contains(each.parts);
    });
  }

  std::vector<Contract> contracts_;
  const Conflict& conflict_;
  const HostOffer& host_;
  std::set<std::vector<std::size_t>> known_;
};

void try_parameters(const Trial& trial, std::size_t part, std::vector<std::string>& out) {
  const Contract& contract = trial.at(part);
  for (std::size_t i = 0; i < contract.claims.size(); ++i) {
    const ContractClaim& claim = contract.claims[i];
    if (!claim.claim.condition || !trial.helps_turned(part, i)) continue;
    out.push_back("change the parameters of the " + contract.role + ": it " +
                  claim_field_name(claim.field) + " " + claim.claim.subject() +
                  (claim.holds ? " as long as " : " only if ") + claim.claim.condition->text);
  }
}

// "a, b or c"
std::string either_text(const std::vector<std::string>& items) {
  std::string out;
  for (std::size_t i = 0; i < items.size(); ++i)
    out += (i == 0 ? "" : i + 1 == items.size() ? " or " : ", ") + items[i];
  return out;
}

void try_others(const Trial& trial, std::size_t part, const PluginCatalog& catalog,
                const HostOffer& host, std::vector<std::string>& out) {
  const Contract& contract = trial.at(part);
  if (contract.kind == "engine") out.push_back("leave " + contract.id + " out");
  std::vector<std::string> names;
  for (const PluginFile* file : of_kind(catalog, contract.kind)) {
    if (file->descriptor.id == contract.id) continue;
    auto other = by_default(*file, contract.role, host);
    if (other && trial.helps_instead(part, std::move(*other))) names.push_back(file->descriptor.id);
  }
  if (!names.empty()) out.push_back("name " + either_text(names) + " as the " + contract.role);
}

void try_added(const Trial& trial, const std::string& kind, const PluginCatalog& catalog,
               const HostOffer& host, std::vector<std::string>& out) {
  std::vector<std::string> names;
  for (const PluginFile* file : of_kind(catalog, kind)) {
    auto added = by_default(*file, role_of_kind(kind), host);
    if (added && trial.helps_added(std::move(*added))) names.push_back(file->descriptor.id);
  }
  if (!names.empty()) out.push_back("add a " + role_of_kind(kind) + ": " + either_text(names));
}

}  // namespace

std::vector<std::string> remedies(std::span<const Contract> contracts, const Conflict& conflict,
                                  const Verdict& verdict, const PluginCatalog& catalog,
                                  const HostOffer& host) {
  const Trial trial(contracts, conflict, verdict, host);
  std::vector<std::string> out;
  for (const std::size_t part : conflict.parts) try_parameters(trial, part, out);
  for (const std::size_t part : conflict.parts) try_others(trial, part, catalog, host, out);
  for (const Cause& cause : conflict.causes)
    for (const std::string& kind : cause.absent) try_added(trial, kind, catalog, host, out);
  return out;
}

}  // namespace tenon
