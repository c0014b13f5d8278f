#include "core/load/rank.h"

#include <algorithm>

#include "core/base/log.h"

namespace tenon {
namespace {

std::string spec_text(std::int32_t layers, std::int32_t kv_heads, std::int32_t head_dim) {
  return std::to_string(layers) + " layers of " + std::to_string(kv_heads) + " heads of " +
         std::to_string(head_dim);
}

Status too_early() {
  return Error{.code = Code::kFailedPrecondition,
               .id = "TENON-R024",
               .message = "ops can be called only inside a step"};
}

}  // namespace

Rank::Rank(Place place, const GgufFile* file, const Threads& threads, iface::Boundary* boundary,
           iface::Meter* meter)
    : place_(place),
      boundary_(boundary),
      meter_(meter),
      builder_(file),
      pool_(threads.count, threads.stripes_per_thread,
            threads.pinned ? std::optional(place.rank * threads.count) : std::nullopt),
      threads_table_(iface::make_threads_table(&threads_)),
      ops_table_(iface::make_ops_table(&ops_)),
      builder_table_(iface::make_builder_table(&builder_)),
      ranks_table_(iface::make_ranks_table(&ranks_)) {}

// A failed step may have left commands that refer to a plugin's memory.
Rank::~Rank() { pool_.wait(); }

void Rank::ThreadsProvider::submit(tenon_stripe_fn function, const void* args, std::uint64_t bytes,
                                   std::uint32_t stripes) {
  pool->submit(function, args, std::min<std::uint64_t>(bytes, StripePool::kArgBytes), stripes);
}

Status Rank::OpsProvider::call(const tenon_hdr* op, Tensor* const* in, std::uint32_t n_in,
                               Tensor** out, std::uint32_t n_out) {
  return executor != nullptr ? executor->call(op, in, n_in, out, n_out) : too_early();
}
Status Rank::OpsProvider::attention(std::int32_t layer, Tensor* q, Tensor* k, Tensor* v,
                                    Tensor** out) {
  return executor != nullptr ? executor->attention(layer, q, k, v, out) : too_early();
}
void Rank::OpsProvider::port(std::uint32_t port, Tensor* t) {
  if (executor != nullptr) executor->port(port, t);
}
void Rank::OpsProvider::release(Tensor* t) {
  if (executor != nullptr) executor->release(t);
}

Status Rank::RanksProvider::all_reduce(Tensor* in, Tensor** out) {
  if (comm == nullptr || !owner->executor_ || in == nullptr) return too_early();
  TENON_ASSIGN(Tensor * sum, owner->tensors_->make({in->dtype, in->rank, in->shape}));
  const tenon_view from = in->view(), to = sum->view();
  if (Status status = comm->all_reduce(place.rank, &from, &to); !status.ok()) {
    owner->tensors_->release(sum);
    return status;
  }
  *out = sum;
  return {};
}

const void* Rank::service(void* ctx, const char* id) {
  const HostOf& host = *static_cast<HostOf*>(ctx);
  Rank& rank = *host.rank;
  if (!iface::get_service_may_pass(host.party, id)) return nullptr;
  const std::string_view wanted = id;
  if (wanted == TENON_THREADS_ID) return rank.lend(host.party, &rank.threads_table_);
  if (wanted == TENON_OPS_ID) return rank.lend(host.party, &rank.ops_table_);
  if (wanted == TENON_BUILDER_ID) return rank.lend(host.party, &rank.builder_table_);
  if (wanted == TENON_RANKS_ID) return rank.lend(host.party, &rank.ranks_table_);
  return nullptr;
}

void Rank::write_log(void* ctx, std::int32_t severity, tenon_str message) {
  const HostOf& host = *static_cast<HostOf*>(ctx);
  if (!iface::host_log_may_pass(host.party, severity, message)) return;
  log(static_cast<Severity>(std::clamp(severity, 0, 3)), host.id, {message.ptr, message.len});
}

Rank::Seat Rank::seat(const std::string& plugin_id) {
  iface::Party* party =
      boundary_ != nullptr ? boundary_->add_party(plugin_id, &find_tensor_) : nullptr;
  return {&host_for(party, plugin_id), party};
}

const tenon_host& Rank::host_for(iface::Party* party, const std::string& plugin_id) {
  HostOf& made = hosts_.emplace_back(HostOf{this, plugin_id, party, {}});
  made.host = {{sizeof(tenon_host), 0, nullptr}, &made, &Rank::write_log, &Rank::service};
  return made.host;
}

Status Rank::open(std::span<const ChosenPlugin> chosen) {
  instances_.reserve(chosen.size());
  for (const char* role : {"network", "backend", "attention", "tp"})
    for (const ChosenPlugin& plugin : chosen) {
      if (plugin.role != role) continue;
      const Seat seated = seat(plugin.file->descriptor.id);
      TENON_ASSIGN(PluginInstance instance,
                   PluginInstance::create(*plugin.file, ResolvedParams(plugin.params.values()),
                                          *seated.host, seated.party));
      instances_.push_back(std::move(instance));
    }
  TENON_ASSIGN(network_,
               (wrap_plugin<iface::Model, tenon_model_v1>(instances_[0], TENON_MODEL_ID, meter_)));
  TENON_ASSIGN(backend_, (wrap_plugin<iface::Backend, tenon_backend_v1>(instances_[1],
                                                                        TENON_BACKEND_ID, meter_)));
  TENON_ASSIGN(attention_, (wrap_plugin<iface::Attention, tenon_attention_v1>(
                               instances_[2], TENON_ATTENTION_ID, meter_)));
  if (instances_.size() > 3) {
    TENON_ASSIGN(parallelism_, (wrap_plugin<iface::Parallelism, tenon_parallelism_v1>(
                                   instances_[3], TENON_PARALLELISM_ID, meter_)));
  }
  info_.hdr.size = sizeof info_;
  return backend_.describe(&info_);
}

Status Rank::declare() {
  TENON_TRY(network_.load());
  builder_.shape().activation = info_.activation;
  return builder_.check_complete();
}

Status Rank::cut() {
  if (!parallelism_) return {};
  const tenon_split_units units = builder_.split_units();
  std::vector<tenon_rank_share> shares(place_.size);
  TENON_TRY(parallelism_.place(&units, place_.size, shares.data()));
  TENON_TRY(check_shares(units, shares, instances_[3].id()));
  return builder_.cut(shares[place_.rank]);
}

Status Rank::plan_attention() {
  const tenon_attention_geometry& geometry = builder_.shape().attention;
  layers_.resize(static_cast<std::size_t>(geometry.layers));
  TENON_TRY(attention_.plan_layers(&geometry, layers_.data(), specs_, &n_specs_));
  const auto bad = [&](std::string message, std::string found, std::string expected) {
    return Error{.code = Code::kInternal,
                 .id = "TENON-R056",
                 .message = std::move(message),
                 .where = instances_[2].id(),
                 .found = std::move(found),
                 .expected = std::move(expected)};
  };
  if (n_specs_ < 1 || n_specs_ > std::size(specs_))
    return bad("the attention plugin gave no usable number of cache specs",
               std::to_string(n_specs_), "1 to " + std::to_string(std::size(specs_)));
  for (const tenon_cache_spec& spec : std::span(specs_).first(n_specs_))
    if (spec.layers < 1 || spec.layers > geometry.layers || spec.kv_heads != geometry.kv_heads ||
        spec.head_dim != geometry.head_dim || spec.window < 0)
      return bad("the attention plugin's cache spec does not fit the model",
                 spec_text(spec.layers, spec.kv_heads, spec.head_dim),
                 spec_text(geometry.layers, geometry.kv_heads, geometry.head_dim));
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const tenon_layer_plan& layer = layers_[i];
    if (layer.spec < 0 || layer.spec >= static_cast<std::int32_t>(n_specs_) ||
        layer.spec_layer < 0 || layer.spec_layer >= specs_[layer.spec].layers)
      return bad("the attention plugin placed a layer outside its cache spec",
                 "layer " + std::to_string(i), "");
    const std::int32_t window = geometry.of_layer[i].window, kept = specs_[layer.spec].window;
    if (kept > 0 && (window == 0 || window > kept))
      return bad("the attention plugin keeps less than a layer reads",
                 std::to_string(kept) + " tokens for layer " + std::to_string(i),
                 window == 0 ? "all" : "at least " + std::to_string(window));
    spec_of_layer_.push_back(layer.spec);
  }
  return {};
}

Status Rank::load_weights(const PrepackOptions& options) {
  const std::string_view format(info_.pack_format.ptr, info_.pack_format.len);
  TENON_TRY(packed_.load(builder_, backend_, format, {instances_[1].id(), place_.rank, place_.size},
                         options, pool_));
  return builder_.load_groups(backend_);
}

Status Rank::prepare_attention(std::int32_t context) {
  const tenon_attend_prepare prepare{{sizeof prepare, 0, nullptr},
                                     &builder_.shape().attention,
                                     specs_,
                                     spec_of_layer_.data(),
                                     n_specs_,
                                     context,
                                     &rope_rows,
                                     &builder_.shape().attention};
  return backend_.prepare_attend(&prepare);
}

std::vector<KvPoolSize> Rank::pool_sizes() const {
  std::vector<KvPoolSize> out;
  for (std::uint32_t i = 0; i < n_specs_; ++i)
    out.push_back({specs_[i].window, backend_.kv_page_bytes(i), 0});
  return out;
}

Status Rank::create_pools(std::span<const KvPoolSize> pools) {
  for (std::uint32_t i = 0; i < n_specs_; ++i) {
    Status made = backend_.kv_create(i, pools[i].n_pages);
    if (made.ok()) continue;
    if (made.error().code != Code::kResourceExhausted) return made;
    Error error = made.take_error();
    error.found = std::to_string(pools[i].n_pages) + " KV pages of " +
                  std::to_string(pools[i].page_bytes) + " bytes";
    error.fix = "lower engine.context, engine.kv_pages or engine.kv_bytes";
    return error;
  }
  return {};
}

// Of one value of a key or a value, with what the cache's form adds to it.
double Rank::kv_value_bytes() const {
  const tenon_cache_spec& spec = specs_[0];
  return static_cast<double>(backend_.kv_page_bytes(0)) /
         (2.0 * kPageTokens * spec.layers * spec.kv_heads * spec.head_dim);
}

void Rank::make_executor(const iface::Comm* comm) {
  const DeviceMemory memory{
      this,
      [](void* ctx, std::uint64_t bytes) -> void* {
        const Rank& rank = *static_cast<Rank*>(ctx);
        if (rank.meter_ != nullptr) rank.meter_->profile()->count_allocation(bytes);
        void* out = nullptr;
        return rank.backend_.allocate(bytes, &out).ok() ? out : nullptr;
      },
      [](void* ctx, void* data) { static_cast<Rank*>(ctx)->backend_.free(data); }, info_.memory};
  tensors_.emplace(memory);
  find_tensor_ = [this](const tenon_tensor* tensor) {
    if (!tensors_->has(tensor)) return iface::TensorState::kUnknown;
    return tensor->references > 0 ? iface::TensorState::kLive : iface::TensorState::kReleased;
  };
  dispatch_.emplace(&builder_.shape(), backend_, &*tensors_);
  executor_.emplace(&builder_.shape(), &*dispatch_, backend_, network_, attention_, layers_,
                    parallelism_, place_.rank == 0);
  if (meter_ != nullptr) {
    Profile* profile = meter_->profile();
    profile->watch(&pool_);
    dispatch_->measure(profile, instances_[1].id(), kv_value_bytes());
    executor_->measure(profile);
  }
  ops_.executor = &*executor_;
  ranks_.comm = comm;
}

}  // namespace tenon
