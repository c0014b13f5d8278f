#include "core/plugin/verdict_text.h"

#include <algorithm>

namespace tenon {
namespace {

const char* error_id(CauseKind kind) {
  switch (kind) {
    case CauseKind::kMissing:
      return "TENON-P031";
    case CauseKind::kExcluded:
    case CauseKind::kTwoOwners:
      return "TENON-P032";
    case CauseKind::kOtherValue:
    case CauseKind::kOtherNeed:
      return "TENON-P064";
    case CauseKind::kFailed:
      return "TENON-P065";
  }
  return "TENON-P032";
}

std::string claims_text(std::span<const Contract> contracts, const Cause& cause) {
  std::string out;
  for (const Cause::Said& said : cause.said)
    out += (out.empty() ? "" : " and ") + contracts[said.part].name() + " " + said.text;
  return out;
}

std::string names_text(std::span<const Contract> contracts, const std::vector<std::size_t>& parts) {
  std::vector<std::string> names;
  for (const std::size_t part : parts) names.push_back(contracts[part].name());
  return list_text(names);
}

}  // namespace

std::string cause_text(std::span<const Contract> contracts, const Cause& cause) {
  const Contract& first = contracts[cause.said.front().part];
  std::string asks = first.name() + " " + cause.said.front().text;
  switch (cause.kind) {
    case CauseKind::kMissing:
      return asks + ", which nothing here provides";
    case CauseKind::kExcluded:
      return first.name() + " does not work with " + contracts[cause.said[1].part].name() +
             ": the first " + cause.said[0].text + ", the second " + cause.said[1].text;
    case CauseKind::kOtherValue:
      return asks + ", but " + contracts[cause.said[1].part].name() + " " + cause.said[1].text;
    case CauseKind::kOtherNeed:
      return claims_text(contracts, cause) + ": no engine can have all of that";
    case CauseKind::kTwoOwners:
      return claims_text(contracts, cause) + ", but only one plugin may";
    case CauseKind::kFailed:
      return first.name() + " and " + contracts[cause.said[1].part].name() +
             " are recorded as failing together: " + cause.said.front().text;
  }
  return asks;
}

std::string roles_text(std::span<const Contract> contracts, const std::vector<std::size_t>& parts) {
  std::vector<std::string> roles;
  for (const std::size_t part : parts) roles.push_back(contracts[part].role);
  return list_text(roles);
}

Error conflict_error(std::span<const Contract> contracts, const Verdict& verdict,
                     const std::vector<std::string>& fixes) {
  const Conflict& conflict = verdict.conflicts.front();
  const Cause& cause = conflict.causes.front();
  const std::size_t asking = cause.said.front().part;
  Error error{.code = Code::kFailedPrecondition,
              .id = error_id(cause.kind),
              .where = contracts[asking].where};
  for (const Cause& each : conflict.causes)
    error.message += (error.message.empty() ? "" : "; ") + cause_text(contracts, each);
  std::vector<std::size_t> others = conflict.parts;
  std::erase(others, asking);
  error.found = others.empty() ? "" : names_text(contracts, others);
  if (cause.kind != CauseKind::kMissing && !others.empty() && !contracts[others[0]].where.empty())
    error.found += " at " + contracts[others[0]].where;
  if (!cause.absent.empty()) {
    error.found += (error.found.empty() ? "" : "; ") + std::string("no ") + list_text(cause.absent);
    error.found += " that provides it";
  }
  for (const std::string& fix : fixes) error.fix += (error.fix.empty() ? "" : "; or ") + fix;
  if (fixes.empty())
    error.fix = "no plugin that is here helps by itself; leave one of them out: " +
                roles_text(contracts, conflict.parts);
  if (const std::size_t more = verdict.conflicts.size() - 1; more > 0)
    error.fix += "; " + std::to_string(more) + " more conflict" + (more > 1 ? "s" : "") +
                 ": `tenon manifest explain` shows all";
  return error;
}

std::string pair_text(std::span<const Contract> contracts, const UntestedPair& pair) {
  const auto text = [&](std::size_t part) {
    return contracts[part].id + " " + contracts[part].version;
  };
  return text(pair.a) + " with " + text(pair.b);
}

std::string degradation_text(std::span<const Contract> contracts, const Degradation& each) {
  return contracts[each.part].name() + " " + each.said + ": " + each.reason + " (" + each.because +
         ")";
}

Error untested_error(std::span<const Contract> contracts, const Verdict& verdict,
                     const std::string& where) {
  std::vector<std::string> pairs;
  for (const UntestedPair& pair : verdict.untested) pairs.push_back(pair_text(contracts, pair));
  return Error{.code = Code::kFailedPrecondition,
               .id = "TENON-P066",
               .message = "plugins of this manifest were never run together",
               .where = where,
               .found = list_text(pairs),
               .expected = "pairs of docs/reference/compatibility.json",
               .fix = "say --allow-untested to run them all the same"};
}

}  // namespace tenon
