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

std::string named(const ComposedPlugin& plugin) {
  return plugin.descriptor->id + " (" + plugin.role + ")";
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

Status check_required(const ComposedPlugin& plugin, std::span<const ComposedPlugin> all,
                      const HostOffer& host) {
  for (const std::string& token : plugin.descriptor->required) {
    const bool given = has(host.provided, token) ||
                       std::any_of(all.begin(), all.end(), [&](const ComposedPlugin& other) {
                         return &other != &plugin && has(other.descriptor->provided, token);
                       });
    if (given) continue;
    std::string others;
    for (const ComposedPlugin& other : all)
      if (&other != &plugin) others += (others.empty() ? "" : ", ") + named(other);
    return Error{
        .code = Code::kFailedPrecondition,
        .id = "TENON-P031",
        .message = named(plugin) + " requires \"" + token + "\", which nothing here provides",
        .where = plugin.where,
        .found = others.empty() ? "no other plugin" : others,
        .fix = "name a plugin that provides \"" + token + "\", or leave " + plugin.descriptor->id +
               " out"};
  }
  return {};
}

Status check_conflicts(const ComposedPlugin& plugin, std::span<const ComposedPlugin> all) {
  for (const std::string& token : plugin.descriptor->conflicts)
    for (const ComposedPlugin& other : all)
      if (&other != &plugin && has(other.descriptor->provided, token))
        return Error{.code = Code::kFailedPrecondition,
                     .id = "TENON-P032",
                     .message = named(plugin) + " does not work with " + named(other) +
                                ", which provides \"" + token + "\"",
                     .where = plugin.where,
                     .found = "the other at " + (other.where.empty() ? other.role : other.where),
                     .fix = "replace one of the two"};
  return {};
}

}  // namespace

const HostOffer& host_offer() {
  static const HostOffer offer = {
      .interfaces = {TENON_MODEL_ID, TENON_BACKEND_ID, TENON_ATTENTION_ID, TENON_SCHEDULER_ID,
                     TENON_CACHE_ID, TENON_ADAPTER_ID, TENON_PARALLELISM_ID, TENON_COMM_ID},
      .services = {TENON_OPS_ID, TENON_BUILDER_ID, TENON_THREADS_ID, TENON_RANKS_ID},
      .provided = {"adapter.in-key"},
  };
  return offer;
}

Status check_composition(std::span<const ComposedPlugin> plugins, const HostOffer& host) {
  for (const ComposedPlugin& plugin : plugins) {
    TENON_TRY(check_kind(plugin));
    TENON_TRY(check_host(plugin, host));
  }
  for (const ComposedPlugin& plugin : plugins) {
    TENON_TRY(check_conflicts(plugin, plugins));
    TENON_TRY(check_required(plugin, plugins, host));
  }
  return {};
}

}  // namespace tenon
