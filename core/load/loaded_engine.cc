#include "core/load/loaded_engine.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <new>
#include <optional>
#include <system_error>
#include <thread>

#include "core/base/log.h"
#include "core/load/rank.h"
#include "core/plugin/assembly.h"
#include "core/reference/reference.h"
#include "core/runtime/rank_group.h"

namespace tenon {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostCaches = 16;  // KvMemory notes the owner of a page in a byte

double seconds_since(Clock::time_point& start) {
  const Clock::time_point now = Clock::now();
  const double seconds = std::chrono::duration<double>(now - start).count();
  start = now;
  return seconds;
}

}  // namespace

Status add_builtin_plugins(PluginCatalog& catalog) {
  return catalog.add_builtin(reference::descriptor_text(), &reference::plugin_entry);
}

// Members are in the order in which each needs the ones above it; they go in the reverse.
struct LoadedEngine::State {
  State(const Manifest& manifest, GgufFile opened, Tokenizer read, const LoadOptions& options)
      : manifest(manifest), file(std::move(opened)), tokenizer(std::move(read)) {
    if (options.check_boundary) boundary = std::make_unique<iface::Boundary>();
    if (!options.profile && !options.trace) return;
    profile = std::make_unique<Profile>(options.trace);
    meter = std::make_unique<iface::Meter>(profile.get());
  }

  Status load(PluginCatalog& catalog, const LoadOptions& options, Clock::time_point start);
  Status open_plugins(PluginCatalog& catalog, bool ignore_record);
  Status open_shared(const ChosenPlugin& plugin);
  Status declare_model();
  Status make_memory();
  Status make_adapters();
  void make_engine();
  Rank& first() { return *ranks.front(); }

  Manifest manifest;
  GgufFile file;
  Tokenizer tokenizer;
  std::unique_ptr<iface::Boundary> boundary;  // null: calls are not checked
  std::unique_ptr<Profile> profile;           // null: nothing is measured
  std::unique_ptr<iface::Meter> meter;
  std::vector<std::unique_ptr<Rank>> ranks;
  std::deque<PluginInstance> shared;  // scheduler, caches, adapter, comm: one for all ranks
  iface::Scheduler scheduler;
  std::vector<iface::Cache> caches;
  std::optional<iface::Comm> comm;
  iface::Adapter adapter;
  Hash128 cache_seed;
  std::int32_t context = 0;
  std::vector<KvPoolSize> pools;  // per cache spec
  std::optional<RankGroup> group;
  std::optional<AdapterSet> adapters;
  std::deque<KvMemory> kv;  // per cache spec; addresses stay
  std::optional<Engine> engine;
  LoadTimes times;
};

namespace {

// Of one rank: what the manifest says, or all cores, shared among the ranks.
Rank::Threads threads_of_a_rank(const ManifestEngine& engine) {
  const auto all = engine.threads > 0 ? static_cast<std::uint32_t>(engine.threads)
                                      : std::max(1u, std::thread::hardware_concurrency());
  return {.count = std::max(1u, all / static_cast<std::uint32_t>(engine.ranks)),
          .stripes_per_thread = static_cast<std::uint32_t>(engine.stripes_per_thread),
          .pinned = engine.pin_threads};
}

}  // namespace

Status LoadedEngine::State::open_plugins(PluginCatalog& catalog, bool ignore_record) {
  TENON_ASSIGN(const std::vector<ChosenPlugin> chosen,
               choose_plugins(manifest, catalog,
                              ignore_record ? CompatibilityRecord() : compatibility_record()));
  if (manifest.cache.size() > kMostCaches)
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-R060",
                 .message = "the chain of caches is too long",
                 .where = manifest.source,
                 .found = std::to_string(manifest.cache.size()) + " caches",
                 .expected = "at most " + std::to_string(kMostCaches)};
  const auto n = static_cast<std::uint32_t>(manifest.engine.ranks);
  for (std::uint32_t rank = 0; rank < n; ++rank) {
    ranks.push_back(std::make_unique<Rank>(Rank::Place{rank, n}, &file,
                                           threads_of_a_rank(manifest.engine), boundary.get(),
                                           rank == 0 ? meter.get() : nullptr));
    TENON_TRY(ranks.back()->open(chosen));
  }
  for (const ChosenPlugin& plugin : chosen) TENON_TRY(open_shared(plugin));
  cache_seed = hash_text(manifest.engine.cache_salt, tokenizer.identity());
  cache_seed = hash_bytes(std::as_bytes(std::span(&n, 1)), cache_seed);
  const auto add_identity = [this](const PluginInstance& instance) {
    if (!instance.descriptor().affects_kv) return;
    const Hash128 identity = instance.identity();
    cache_seed = hash_bytes(std::as_bytes(std::span(&identity, 1)), cache_seed);
  };
  for (const PluginInstance& instance : first().instances()) add_identity(instance);
  for (const PluginInstance& instance : shared) add_identity(instance);
  return {};
}

// A plugin of which all ranks have the same instance; those of the ranks themselves are passed by.
Status LoadedEngine::State::open_shared(const ChosenPlugin& plugin) {
  if (plugin.role != "scheduler" && plugin.role != "cache" && plugin.role != "adapter" &&
      plugin.role != "comm")
    return {};
  const Rank::Seat seat = first().seat(plugin.file->descriptor.id);
  TENON_ASSIGN(PluginInstance made,
               PluginInstance::create(*plugin.file, ResolvedParams(plugin.params.values()),
                                      *seat.host, seat.party));
  const PluginInstance& instance = shared.emplace_back(std::move(made));
  if (plugin.role == "scheduler") {
    TENON_ASSIGN(scheduler, (wrap_plugin<iface::Scheduler, tenon_scheduler_v1>(
                                instance, TENON_SCHEDULER_ID, meter.get())));
  } else if (plugin.role == "cache") {
    TENON_ASSIGN(iface::Cache cache, (wrap_plugin<iface::Cache, tenon_cache_v1>(
                                         instance, TENON_CACHE_ID, meter.get())));
    caches.push_back(cache);
  } else if (plugin.role == "adapter") {
    TENON_ASSIGN(adapter, (wrap_plugin<iface::Adapter, tenon_adapter_v1>(instance, TENON_ADAPTER_ID,
                                                                         meter.get())));
  } else {
    TENON_ASSIGN(iface::Comm made_comm,
                 (wrap_plugin<iface::Comm, tenon_comm_v1>(instance, TENON_COMM_ID, meter.get())));
    comm = made_comm;
    for (std::uint32_t rank = 0; rank < ranks.size(); ++rank)
      TENON_TRY(comm->attach(rank, static_cast<std::uint32_t>(ranks.size()),
                             &ranks[rank]->host_for(seat.party, instance.id())));
  }
  return {};
}

// Everything that can be refused without reading a weight.
Status LoadedEngine::State::declare_model() {
  for (const auto& rank : ranks) TENON_TRY(rank->declare());
  const ModelShape& model = first().model();
  if (tokenizer.vocabulary_size() > model.decoder.vocabulary)
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-R053",
                 .message = "the tokenizer has more tokens than the model has embeddings",
                 .where = file.path(),
                 .found = std::to_string(tokenizer.vocabulary_size()),
                 .expected = "at most " + std::to_string(model.decoder.vocabulary)};
  context = model.decoder.context;
  if (manifest.engine.context > context)
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-R054",
                 .message = "engine.context is longer than the model's",
                 .where = manifest.source,
                 .found = std::to_string(manifest.engine.context),
                 .expected = "at most " + std::to_string(context)};
  if (manifest.engine.context > 0) context = static_cast<std::int32_t>(manifest.engine.context);
  for (const auto& rank : ranks) {
    TENON_TRY(rank->cut());
    TENON_TRY(rank->plan_attention());
  }
  return {};
}

// One budget for all ranks: every rank has as many pages, of its own heads.
Status LoadedEngine::State::make_memory() {
  for (const auto& rank : ranks) {
    TENON_TRY(rank->prepare_attention(context));
    const std::vector<KvPoolSize> sizes = rank->pool_sizes();
    pools.resize(sizes.size());
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      pools[i].window = sizes[i].window;
      pools[i].page_bytes += sizes[i].page_bytes;
      if (sizes[i].page_bytes == 0)
        return Error{.code = Code::kInternal,
                     .id = "TENON-R058",
                     .message = "the backend says that a page has no bytes",
                     .where = rank->instances()[1].id()};
    }
  }
  TENON_TRY(size_kv_pools(pools, manifest.engine, context, manifest.source));
  for (const auto& rank : ranks) TENON_TRY(rank->create_pools(pools));
  return {};
}

// One slot for all ranks: the same ids, each rank's part of the factors.
Status LoadedEngine::State::make_adapters() {
  if (!manifest.adapter) return {};
  std::vector<SiteShape> sites;
  for (std::uint32_t w = 0; w < first().model().weights.size(); ++w)
    if (const ModelBuilder::Site& site = first().builder().site(w); !site.module.empty())
      sites.push_back({w, site.module, site.n, site.k, site.paired_heads});
  std::vector<AdapterRank> holders;
  for (const auto& rank : ranks) {
    holders.push_back({rank->backend(), {}});
    for (const SiteShape& site : sites) {
      const ModelBuilder::Site& part = rank->builder().site(site.weight);
      const WeightShape& kept = rank->model().weights[site.weight];
      holders.back().cuts.push_back({part.row_begin, kept.n, part.col_begin, kept.k});
    }
  }
  adapters.emplace(adapter, std::move(sites), &first().model(), std::move(holders));
  TENON_TRY(adapters->bind());
  for (const ManifestAdapter& given : manifest.adapters)
    TENON_TRY(adapters->load(given.name, manifest_path(manifest, given.path)));
  return {};
}

void LoadedEngine::State::make_engine() {
  std::vector<Executor*> executors;
  std::vector<iface::Backend> backends;
  for (const auto& rank : ranks) {
    rank->make_executor(comm ? &*comm : nullptr);
    executors.push_back(&rank->executor());
    backends.push_back(rank->backend());
  }
  group.emplace(std::move(executors), comm ? &*comm : nullptr, boundary.get());
  EngineParts parts{first().model().decoder.vocabulary,
                    &tokenizer,
                    scheduler,
                    [this](std::span<const BatchItem> items) { return group->run(items); },
                    {},
                    context,
                    cache_seed,
                    adapters ? &*adapters : nullptr,
                    profile.get()};
  for (std::uint32_t i = 0; i < pools.size(); ++i) {
    kv.emplace_back(
        KvMemory::Options{i, pools[i].window, pools[i].n_pages, manifest.engine.poison_free_pages},
        backends, caches);
    parts.kv.push_back(&kv.back());
  }
  engine.emplace(std::move(parts));
}

LoadedEngine::LoadedEngine(std::unique_ptr<State> state) : state_(std::move(state)) {}
LoadedEngine::~LoadedEngine() = default;

Result<std::unique_ptr<LoadedEngine>> LoadedEngine::load(const Manifest& manifest,
                                                         PluginCatalog& catalog,
                                                         const std::string& model_path,
                                                         const LoadOptions& options) {
  Clock::time_point start = Clock::now();
  TENON_ASSIGN(GgufFile file, GgufFile::open(model_path));
  TENON_ASSIGN(Tokenizer tokenizer, Tokenizer::from_gguf(file));
  auto state = std::make_unique<State>(manifest, std::move(file), std::move(tokenizer), options);
  Status loaded = state->load(catalog, options, start);
  if (state->boundary != nullptr) {
    // What a call without a status has found comes before what followed from it.
    if (std::optional<Error> misuse = state->boundary->take_misuse()) return std::move(*misuse);
    state->boundary->loaded();
  }
  TENON_TRY(std::move(loaded));
  return std::unique_ptr<LoadedEngine>(new LoadedEngine(std::move(state)));
}

Status LoadedEngine::State::load(PluginCatalog& catalog, const LoadOptions& options,
                                 Clock::time_point start) {
  TENON_TRY(open_plugins(catalog, options.ignore_record));
  times.plugins = seconds_since(start);
  TENON_TRY(declare_model());
  times.declare = seconds_since(start);
  for (const auto& rank : ranks) TENON_TRY(rank->load_weights(options.prepack));
  // Caches live in this process and so does the file: its path and layout identify the weights.
  cache_seed = hash_text(file.path(), cache_seed);
  times.weights = seconds_since(start);
  TENON_TRY(make_adapters());
  times.adapters = seconds_since(start);
  try {  // a file may claim a context whose tables no machine holds
    TENON_TRY(make_memory());
    make_engine();
  } catch (const std::system_error& error) {
    return Error{.code = Code::kResourceExhausted,
                 .id = "TENON-R072",
                 .message = "the system has no thread for a rank",
                 .found = error.what(),
                 .fix = "lower engine.ranks, or raise the limit of threads"};
  } catch (const std::bad_alloc&) {
    return Error{.code = Code::kResourceExhausted,
                 .id = "TENON-R059",
                 .message = "no memory for the engine's tables",
                 .found = "a context of " + std::to_string(context) + " tokens",
                 .fix = "lower engine.context or engine.kv_pages"};
  }
  times.memory = seconds_since(start);
  return {};
}

Engine& LoadedEngine::engine() { return *state_->engine; }
AdapterSet* LoadedEngine::adapters() { return state_->adapters ? &*state_->adapters : nullptr; }
const Tokenizer& LoadedEngine::tokenizer() const { return state_->tokenizer; }
const GgufFile& LoadedEngine::file() const { return state_->file; }
const ModelShape& LoadedEngine::model() const { return state_->first().model(); }
ModelCosts LoadedEngine::costs() const {
  ModelCosts costs;
  for (const auto& rank : state_->ranks)
    add_costs(rank->model(), rank == state_->ranks.front(), costs);
  return costs;
}
std::string_view LoadedEngine::device() const {
  return {state_->first().info().device.ptr, state_->first().info().device.len};
}
std::string_view LoadedEngine::numerics() const {
  return {state_->first().info().numerics.ptr, state_->first().info().numerics.len};
}
std::int32_t LoadedEngine::context() const { return state_->context; }
std::span<const KvPoolSize> LoadedEngine::kv_pools() const { return state_->pools; }
std::uint32_t LoadedEngine::threads() const {
  return state_->first().threads() * static_cast<std::uint32_t>(state_->ranks.size());
}
std::uint32_t LoadedEngine::ranks() const {
  return static_cast<std::uint32_t>(state_->ranks.size());
}
const LoadTimes& LoadedEngine::times() const { return state_->times; }
const std::string& LoadedEngine::packed_file() const {
  return state_->first().packed_weights().file();
}
const Profile* LoadedEngine::profile() const { return state_->profile.get(); }
void LoadedEngine::observe_ports(Executor::PortObserver observer) {
  state_->first().executor().observe_ports(std::move(observer));
}

RequestSpec LoadedEngine::default_request() const {
  RequestSpec spec;
  apply_sampling(state_->manifest.sampling, spec);
  return spec;
}

void apply_sampling(const ManifestSampling& given, RequestSpec& spec) {
  SamplingParams& s = spec.sampling;
  s.temperature = given.temperature.value_or(s.temperature);
  // Not cut to 32 bits: what is out of range must stay so until submit() refuses it.
  if (given.top_k)
    s.top_k = static_cast<std::int32_t>(std::clamp<std::int64_t>(*given.top_k, -1, INT32_MAX));
  s.top_p = given.top_p.value_or(s.top_p);
  s.min_p = given.min_p.value_or(s.min_p);
  s.repetition_penalty = given.repetition_penalty.value_or(s.repetition_penalty);
  s.presence_penalty = given.presence_penalty.value_or(s.presence_penalty);
  s.frequency_penalty = given.frequency_penalty.value_or(s.frequency_penalty);
  s.seed = given.seed.value_or(s.seed);
  if (given.max_tokens) spec.max_tokens = static_cast<std::int32_t>(*given.max_tokens);
}

}  // namespace tenon
