#include "core/plugin/instance.h"

#include <cstring>
#include <mutex>

#include "core/iface/checked_tables.h"
#include "core/iface/plugin_call.h"
#include "core/plugin/library.h"

namespace tenon {

struct PluginInstance::State {
  PluginDescriptor descriptor;
  std::string file_hash;
  ResolvedParams params;
  Hash128 identity;
  const tenon_plugin_v1* table = nullptr;
  tenon_instance* self = nullptr;
  iface::Party* party = nullptr;
  iface::CheckedTable* checked = nullptr;  // the plugin's own table, when its calls are checked

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (self == nullptr) return;
    if (checked != nullptr) {
      iface::plugin_destroy(*checked, self);
      party->destroyed = true;
    } else {
      table->destroy(self);
    }
  }
};

namespace {

// Length-framed by the chain, so no two different sets of parts can meet.
Hash128 identity_of(const PluginFile& file, const ResolvedParams& params) {
  Hash128 hash = hash_text(file.descriptor.id);
  hash = hash_text(file.descriptor.version, hash);
  hash = hash_text(file.sha256, hash);
  return hash_text(params.canonical_text(), hash);
}

Error interface_error(const char* id, const PluginInstance& instance, const char* error_id,
                      std::string message) {
  return Error{.code = Code::kFailedPrecondition,
               .id = error_id,
               .message = instance.id() + " " + std::move(message),
               .where = id,
               .fix = "use another version of the plugin, or build it against this host's SDK"};
}

// Slots are function pointers after the header; an empty one would be called.
bool has_empty_slot(const void* table, std::size_t bytes) {
  for (std::size_t at = sizeof(tenon_hdr); at + sizeof(void*) <= bytes; at += sizeof(void*)) {
    const void* slot = nullptr;
    std::memcpy(&slot, static_cast<const char*>(table) + at, sizeof slot);
    if (slot == nullptr) return true;
  }
  return false;
}

}  // namespace

PluginInstance::PluginInstance(std::unique_ptr<State> state) : state_(std::move(state)) {}
PluginInstance::PluginInstance(PluginInstance&&) noexcept = default;
PluginInstance& PluginInstance::operator=(PluginInstance&&) noexcept = default;
PluginInstance::~PluginInstance() = default;

Result<PluginInstance> PluginInstance::create(const PluginFile& file, ResolvedParams params,
                                              const tenon_host& host, iface::Party* party) {
  static std::mutex loading;  // the boundary promises that create() calls are serialised
  const std::lock_guard lock(loading);
  auto state = std::make_unique<State>();
  TENON_ASSIGN(state->table, open_plugin(file));
  state->descriptor = file.descriptor;
  state->file_hash = file.sha256;
  state->identity = identity_of(file, params);
  state->params = std::move(params);
  const std::string& id = state->descriptor.id;
  tenon_create_args args{};
  args.hdr = {sizeof args, 0, nullptr};
  args.host = &host;
  args.plugin_id = {id.data(), id.size()};
  args.params = state->params.table().data();
  args.n_params = state->params.table().size();
  iface::PluginCall call(&id, "plugin.create");
  tenon_instance* self = nullptr;
  if (party != nullptr) {
    state->party = party;
    state->checked = party->boundary->add_table(party, state->table, nullptr);
    TENON_TRY(call.finish(iface::plugin_create(*state->checked, &args, &self, call.call())));
  } else {
    TENON_TRY(call.finish(state->table->create(&args, &self, call.call())));
  }
  if (self == nullptr)
    return Error{.code = Code::kInternal,
                 .id = "TENON-P045",
                 .message = id + " reported success and gave no instance",
                 .where = file.path};
  state->self = self;
  for (const std::string& interface : state->descriptor.interfaces)
    if (state->table->get_interface(self, interface.c_str()) == nullptr)
      return Error{.code = Code::kFailedPrecondition,
                   .id = "TENON-P053",
                   .message = id + " does not have an interface that its descriptor lists",
                   .where = file.path,
                   .found = interface,
                   .fix = "give the table in get_interface(), or take it out of plugin.textproto"};
  return PluginInstance(std::move(state));
}

Result<const void*> PluginInstance::interface(const char* id, std::size_t needed) const {
  const void* table = state_->checked != nullptr
                          ? iface::plugin_get_interface(*state_->checked, state_->self, id)
                          : state_->table->get_interface(state_->self, id);
  if (table == nullptr)
    return interface_error(id, *this, "TENON-P050", "does not have this interface");
  const std::uint32_t size = static_cast<const tenon_hdr*>(table)->size;
  if (size < needed) {
    Error error = interface_error(id, *this, "TENON-P051", "has a table that is too small");
    error.found = std::to_string(size) + " bytes";
    error.expected = "at least " + std::to_string(needed);
    return error;
  }
  if (has_empty_slot(table, needed))
    return interface_error(id, *this, "TENON-P052", "leaves a slot of its table empty");
  return table;
}

tenon_instance* PluginInstance::handle() const { return state_->self; }
iface::Party* PluginInstance::party() const { return state_->party; }
const std::string& PluginInstance::id() const { return state_->descriptor.id; }
const std::string& PluginInstance::version() const { return state_->descriptor.version; }
const std::string& PluginInstance::file_hash() const { return state_->file_hash; }
const PluginDescriptor& PluginInstance::descriptor() const { return state_->descriptor; }
const ResolvedParams& PluginInstance::params() const { return state_->params; }
const Hash128& PluginInstance::identity() const { return state_->identity; }

}  // namespace tenon
