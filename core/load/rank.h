// One rank: its share of the model, and everything that computes it. An engine of one rank has one
// that holds all.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/stripe_pool.h"
#include "core/iface/meter.h"
#include "core/iface/proxy.h"
#include "core/load/kv_budget.h"
#include "core/load/model_loader.h"
#include "core/load/prepack.h"
#include "core/plugin/assembly.h"
#include "core/plugin/instance.h"
#include "core/runtime/executor.h"

namespace tenon {

// A plugin's table as C++: wrap_plugin<iface::Model, tenon_model_v1>(instance, TENON_MODEL_ID). The
// instance's calls are checked if it has a party, and timed if there is a meter.
template <class Wrapper, class Table>
Result<Wrapper> wrap_plugin(const PluginInstance& instance, const char* id,
                            iface::Meter* meter = nullptr) {
  TENON_ASSIGN(const Table* table, instance.table<Table>(id));
  auto callee = iface::check_plugin(instance.party(), table, instance.handle());
  if (meter != nullptr) callee = meter->plugin(instance.id(), callee);
  return Wrapper(callee.table, callee.self, &instance.id());
}

class Rank {
 public:
  struct Place {
    std::uint32_t rank = 0, size = 1;
  };
  struct Threads {
    std::uint32_t count = 1, stripes_per_thread = 4;
    bool pinned = false;
  };
  // `file`, `boundary` and `meter` outlive the rank; without them nothing is checked or timed.
  // Never moves: plugins keep addresses into it.
  Rank(Place place, const GgufFile* file, const Threads& threads, iface::Boundary* boundary,
       iface::Meter* meter);
  ~Rank();
  Rank(const Rank&) = delete;
  Rank& operator=(const Rank&) = delete;

  // The host as a plugin with this id sees it from here: the rank's threads, ops and builder.
  struct Seat {
    const tenon_host* host;
    iface::Party* party;  // null when nothing is checked
  };
  Seat seat(const std::string& plugin_id);
  // As seat(), for a plugin that has one on another rank.
  const tenon_host& host_for(iface::Party* party, const std::string& plugin_id);

  // Makes instances of the plugins that every rank has its own of: network, backend, attention, and
  // tp where there is one.
  Status open(std::span<const ChosenPlugin> chosen);
  // The model plugin declares the whole model. Nothing is read.
  Status declare();
  // Asks the tp plugin for all ranks' shares and keeps this one's. TENON-R070: an answer that does
  // not cover the model.
  Status cut();
  // Where layers keep their state. TENON-R056.
  Status plan_attention();
  Status load_weights(const PrepackOptions& options);
  Status prepare_attention(std::int32_t context);
  // `pools` has the numbers of pages of all ranks.
  Status create_pools(std::span<const KvPoolSize> pools);
  std::vector<KvPoolSize> pool_sizes() const;  // without numbers of pages
  double kv_value_bytes() const;
  void make_executor(const iface::Comm* comm);

  Executor& executor() { return *executor_; }
  const iface::Backend& backend() const { return backend_; }
  const tenon_backend_info& info() const { return info_; }
  const PackedWeights& packed_weights() const { return packed_; }
  ModelBuilder& builder() { return builder_; }
  const ModelShape& model() { return builder_.shape(); }
  std::uint32_t threads() const { return pool_.threads(); }
  std::span<const PluginInstance> instances() const { return instances_; }

 private:
  struct HostOf {
    Rank* rank;
    std::string id;
    iface::Party* party;
    tenon_host host;
  };
  // tenon.threads/1 over the rank's pool.
  struct ThreadsProvider {
    StripePool* pool;
    void submit(tenon_stripe_fn function, const void* args, std::uint64_t bytes,
                std::uint32_t stripes);
    void wait() { pool->wait(); }
    std::uint32_t count() { return pool->threads(); }
    std::uint32_t stripes_per_thread() { return pool->stripes_per_thread(); }
  };
  // tenon.ops/1: there is an executor only once the model is loaded.
  struct OpsProvider {
    Executor* executor = nullptr;
    Status call(const tenon_hdr* op, Tensor* const* in, std::uint32_t n_in, Tensor** out,
                std::uint32_t n_out);
    Status attention(std::int32_t layer, Tensor* q, Tensor* k, Tensor* v, Tensor** out);
    void port(std::uint32_t port, Tensor* t);
    void release(Tensor* t);
  };
  // tenon.ranks/1
  struct RanksProvider {
    Place place;
    Rank* owner;
    const iface::Comm* comm = nullptr;
    std::uint32_t rank() { return place.rank; }
    std::uint32_t size() { return place.size; }
    Status all_reduce(Tensor* in, Tensor** out);
  };
  static const void* service(void* ctx, const char* id);
  template <class Table>
  const Table* lend(iface::Party* party, const Table* table) {
    const Table* checked = iface::check_service(party, table);
    return meter_ != nullptr ? meter_->service(checked) : checked;
  }
  static void write_log(void* ctx, std::int32_t severity, tenon_str message);

  // In the order in which each needs the ones above it; they go in the reverse.
  Place place_;
  iface::Boundary* boundary_;
  iface::Meter* meter_;
  iface::TensorLookup find_tensor_;
  ModelBuilder builder_;
  StripePool pool_;
  ThreadsProvider threads_{&pool_};
  OpsProvider ops_;
  RanksProvider ranks_{place_, this};
  tenon_threads_v1 threads_table_;
  tenon_ops_v1 ops_table_;
  tenon_builder_v1 builder_table_;
  tenon_ranks_v1 ranks_table_;
  std::deque<HostOf> hosts_;  // addresses stay
  PackedWeights packed_;
  std::vector<PluginInstance> instances_;
  iface::Model network_;
  iface::Backend backend_;
  iface::Attention attention_;
  iface::Parallelism parallelism_;  // only with more than one rank
  tenon_backend_info info_{};
  std::vector<tenon_layer_plan> layers_;
  std::vector<std::int32_t> spec_of_layer_;
  tenon_cache_spec specs_[8]{};
  std::uint32_t n_specs_ = 0;
  std::optional<TensorPool> tensors_;
  std::optional<OpDispatch> dispatch_;
  std::optional<Executor> executor_;
};

}  // namespace tenon
