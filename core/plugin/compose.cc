#include "core/plugin/compose.h"

#include <algorithm>
#include <array>

#include "tenon/abi/adapter.h"
#include "tenon/abi/attention.h"
#include "tenon/abi/backend.h"
#include "tenon/abi/builder.h"
#include "tenon/abi/cache.h"
#include "tenon/abi/comm.h"
#include "tenon/abi/model.h"
#include "tenon/abi/ops.h"
#include "tenon/abi/parallelism.h"
#include "tenon/abi/ranks.h"
#include "tenon/abi/scheduler.h"
#include "tenon/abi/threads.h"

namespace tenon {
namespace {

struct RoleKind {
  const char* role;
  const char* kind;
};
constexpr std::array kRoleKinds = {
    RoleKind{"network", "model"},       RoleKind{"backend", "backend"},
    RoleKind{"attention", "attention"}, RoleKind{"scheduler", "scheduler"},
    RoleKind{"cache", "cache"},         RoleKind{"adapter", "adapter"},
    RoleKind{"tp", "parallelism"},      RoleKind{"comm", "comm"},
};

bool has(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

Status check_kind(const ComposedPlugin& plugin) {
  for (const RoleKind& entry : kRoleKinds)
    if (plugin.role == entry.role && plugin.descriptor->kind != entry.kind)
      return Error{.code = Code::kInvalidArgument,
                   .id = "TENON-P030",
                   .message = plugin.descriptor->id + " cannot be the " + plugin.role,
                   .where = plugin.where,
                   .found = "kind " + plugin.descriptor->kind,
                   .expected = std::string("kind ") + entry.kind,
                   .fix = "name another plugin for this role; `tenon plugin list` shows the kinds"};
  return {};
}

Status check_host(const ComposedPlugin& plugin, const HostOffer& host) {
  const PluginDescriptor& descriptor = *plugin.descriptor;
  const std::string prefix = "tenon." + descriptor.kind + "/";
  const auto spoken = [&](const std::string& id) {
    return id.starts_with(prefix) && has(host.interfaces, id);
  };
  if (std::none_of(descriptor.interfaces.begin(), descriptor.interfaces.end(), spoken))
    return Error{
        .code = Code::kFailedPrecondition,
        .id = "TENON-P033",
        .message = descriptor.id + " speaks no version of " + prefix + " that this host speaks",
        .where = plugin.where,
        .found = list_text(descriptor.interfaces),
        .expected = "one of: " + list_text(host.interfaces),
        .fix = "use another version of the plugin or of Tenon"};
  for (const std::string& service : descriptor.services)
    if (!has(host.services, service))
      return Error{.code = Code::kFailedPrecondition,
                   .id = "TENON-P034",
                   .message = descriptor.id + " needs service " + service +
                              ", which this host does not have",
                   .where = plugin.where,
                   .expected = "one of: " + list_text(host.services),
                   .fix = "use another version of the plugin or of Tenon"};
  return {};
}

}  // namespace

const HostOffer& host_offer() {
  static const HostOffer offer = {
      .interfaces = {TENON_MODEL_ID, TENON_BACKEND_ID, TENON_ATTENTION_ID, TENON_SCHEDULER_ID,
                     TENON_CACHE_ID, TENON_ADAPTER_ID, TENON_PARALLELISM_ID, TENON_COMM_ID},
      .services = {TENON_OPS_ID, TENON_BUILDER_ID, TENON_THREADS_ID, TENON_RANKS_ID},
      // The engine of today: one plan a step, through all layers, on the ranks that it began with.
      .provided = {{.token = "adapter.in-key"},
                   {.token = "residual.full", .values = {"yes"}},
                   {.token = "layers.same-step", .values = {"yes"}},
                   {.token = "tp.degree", .values = {"fixed"}},
                   {.token = "lanes.async", .values = {"no"}}},
  };
  return offer;
}

std::string role_of_kind(std::string_view kind) {
  for (const RoleKind& entry : kRoleKinds)
    if (kind == entry.kind) return entry.role;
  return "";
}

Result<Contract> compose_one(const ComposedPlugin& plugin, const HostOffer& host) {
  TENON_TRY(check_kind(plugin));
  TENON_TRY(check_host(plugin, host));
  return make_contract(plugin.role, *plugin.descriptor, *plugin.params, plugin.where);
}

Verdict judge(std::span<const Contract> contracts, const CoreOffer& core,
              const CompatibilityRecord& record) {
  Verdict out = solve(contracts, core);
  const auto key = [&](std::size_t part) {
    return contracts[part].id + " " + contracts[part].version;
  };
  for (std::size_t a = 0; a < contracts.size(); ++a)
    for (std::size_t b = a + 1; b < contracts.size(); ++b) {
      if (contracts[a].version.empty() || contracts[b].version.empty()) continue;  // the manifest
      const PairResult* known = record.find(key(a), key(b));
      if (known == nullptr) {
        out.untested.push_back({a, b});
      } else if (!known->passed) {
        Cause cause{.kind = CauseKind::kFailed};
        cause.said = {{a, "failed in " + known->run}, {b, "failed in " + known->run}};
        out.conflicts.push_back({{a, b}, {std::move(cause)}});
      }
    }
  out.conflicts = minimal(std::move(out.conflicts));
  return out;
}

}  // namespace tenon
