#include "core/load/loaded_engine.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <new>
#include <optional>
#include <thread>

#include "core/base/log.h"
#include "core/load/kv_budget.h"
#include "core/load/model_loader.h"
#include "core/plugin/assembly.h"
#include "core/plugin/instance.h"
#include "core/reference/reference.h"

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

// tenon.threads/1 over the engine's pool.
struct ThreadsProvider {
  StripePool* pool;
  void submit(tenon_stripe_fn function, const void* args, std::uint64_t bytes,
              std::uint32_t stripes) {
    pool->submit(function, args, std::min<std::uint64_t>(bytes, StripePool::kArgBytes), stripes);
  }
  void wait() { pool->wait(); }
  std::uint32_t count() { return pool->threads(); }
  std::uint32_t stripes_per_thread() { return pool->stripes_per_thread(); }
};

// tenon.ops/1: there is an executor only once the model is loaded.
struct OpsProvider {
  Executor* executor = nullptr;
  static Status too_early() {
    return Error{.code = Code::kFailedPrecondition,
                 .id = "TENON-R024",
                 .message = "ops can be called only inside a step"};
  }
  Status call(const tenon_hdr* op, Tensor* const* in, std::uint32_t n_in, Tensor** out,
              std::uint32_t n_out) {
    return executor != nullptr ? executor->call(op, in, n_in, out, n_out) : too_early();
  }
  Status attention(std::int32_t layer, Tensor* q, Tensor* k, Tensor* v, Tensor** out) {
    return executor != nullptr ? executor->attention(layer, q, k, v, out) : too_early();
  }
  void port(std::uint32_t port, Tensor* t) {
    if (executor != nullptr) executor->port(port, t);
  }
  void release(Tensor* t) {
    if (executor != nullptr) executor->release(t);
  }
};

std::string spec_text(std::int32_t layers, std::int32_t kv_heads, std::int32_t head_dim) {
  return std::to_string(layers) + " layers of " + std::to_string(kv_heads) + " heads of " +
         std::to_string(head_dim);
}

}  // namespace

Status add_builtin_plugins(PluginCatalog& catalog) {
  return catalog.add_builtin(reference::descriptor_text(), &reference::plugin_entry);
}

// Members are in the order in which each needs the ones above it; they go in the reverse.
struct LoadedEngine::State {
  struct HostOf {  // one plugin's view of the host
    State* state;
    std::string id;
    tenon_host host;
  };

  State(const Manifest& manifest, GgufFile opened, Tokenizer read)
      : manifest(manifest),
        file(std::move(opened)),
        tokenizer(std::move(read)),
        builder(&file),
        pool(thread_count(manifest.engine),
             static_cast<std::uint32_t>(manifest.engine.stripes_per_thread)) {}
  // A failed step may have left commands that refer to a plugin's memory.
  ~State() { pool.wait(); }

  static std::uint32_t thread_count(const ManifestEngine& engine) {
    return engine.threads > 0 ? static_cast<std::uint32_t>(engine.threads)
                              : std::max(1u, std::thread::hardware_concurrency());
  }

  static const void* service(void* ctx, const char* id) {
    State& state = *static_cast<HostOf*>(ctx)->state;
    const std::string_view wanted = id;
    if (wanted == TENON_THREADS_ID) return &state.threads_table;
    if (wanted == TENON_OPS_ID) return &state.ops_table;
    if (wanted == TENON_BUILDER_ID) return &state.builder_table;
    return nullptr;
  }
  static void write_log(void* ctx, std::int32_t severity, tenon_str message) {
    log(static_cast<Severity>(std::clamp(severity, 0, 3)), static_cast<HostOf*>(ctx)->id,
        {message.ptr, message.len});
  }

  Status open_plugins(PluginCatalog& catalog);
  template <class Wrapper, class Table>
  Result<Wrapper> wrap(std::size_t index, const char* id);
  Status declare_model();
  Status plan_attention();
  Status make_memory();
  Status make_engine();

  Manifest manifest;
  GgufFile file;
  Tokenizer tokenizer;
  ModelBuilder builder;
  StripePool pool;
  ThreadsProvider threads{&pool};
  OpsProvider ops_provider;
  tenon_threads_v1 threads_table = iface::make_threads_table(&threads);
  tenon_ops_v1 ops_table = iface::make_ops_table(&ops_provider);
  tenon_builder_v1 builder_table = iface::make_builder_table(&builder);
  std::deque<HostOf> hosts;  // addresses stay
  std::vector<PluginInstance> instances;
  iface::Model network;
  iface::Backend backend;
  iface::Attention attention;
  iface::Scheduler scheduler;
  std::vector<iface::Cache> caches;
  Hash128 cache_seed;
  tenon_backend_info info{};
  std::int32_t context = 0;
  std::vector<tenon_layer_plan> layers;
  std::vector<std::int32_t> spec_of_layer;
  tenon_cache_spec specs[8]{};
  std::uint32_t n_specs = 0;
  std::vector<KvPoolSize> pools;  // per spec
  std::optional<TensorPool> tensors;
  std::optional<OpDispatch> dispatch;
  std::optional<Executor> executor;
  std::deque<KvMemory> kv;  // per spec; addresses stay
  std::optional<Engine> engine;
  LoadTimes times;
};

template <class Wrapper, class Table>
Result<Wrapper> LoadedEngine::State::wrap(std::size_t index, const char* id) {
  TENON_ASSIGN(const Table* table, instances[index].table<Table>(id));
  return Wrapper(table, instances[index].handle(), &instances[index].id());
}

Status LoadedEngine::State::open_plugins(PluginCatalog& catalog) {
  TENON_ASSIGN(std::vector<ChosenPlugin> chosen, choose_plugins(manifest, catalog));
  if (manifest.cache.size() > kMostCaches)
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-R060",
                 .message = "the chain of caches is too long",
                 .where = manifest.source,
                 .found = std::to_string(manifest.cache.size()) + " caches",
                 .expected = "at most " + std::to_string(kMostCaches)};
  cache_seed = hash_text(manifest.engine.cache_salt, tokenizer.identity());
  for (ChosenPlugin& plugin : chosen) {
    hosts.push_back({this, plugin.file->descriptor.id, {}});
    hosts.back().host = {
        {sizeof(tenon_host), 0, nullptr}, &hosts.back(), &State::write_log, &State::service};
    TENON_ASSIGN(PluginInstance instance,
                 PluginInstance::create(*plugin.file, std::move(plugin.params), hosts.back().host));
    if (instance.descriptor().affects_kv) {
      const Hash128 identity = instance.identity();
      cache_seed = hash_bytes(std::as_bytes(std::span(&identity, 1)), cache_seed);
    }
    instances.push_back(std::move(instance));
  }
  TENON_ASSIGN(network, (wrap<iface::Model, tenon_model_v1>(0, TENON_MODEL_ID)));
  TENON_ASSIGN(backend, (wrap<iface::Backend, tenon_backend_v1>(1, TENON_BACKEND_ID)));
  TENON_ASSIGN(attention, (wrap<iface::Attention, tenon_attention_v1>(2, TENON_ATTENTION_ID)));
  TENON_ASSIGN(scheduler, (wrap<iface::Scheduler, tenon_scheduler_v1>(3, TENON_SCHEDULER_ID)));
  for (std::size_t i = 4; i < 4 + manifest.cache.size(); ++i) {
    TENON_ASSIGN(iface::Cache cache, (wrap<iface::Cache, tenon_cache_v1>(i, TENON_CACHE_ID)));
    caches.push_back(cache);
  }
  return backend.describe(&info);
}

// Everything that can be refused without reading a weight.
Status LoadedEngine::State::declare_model() {
  TENON_TRY(network.load());
  TENON_TRY(builder.check_complete());
  ModelShape& model = builder.shape();
  model.activation = info.activation;
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
  return plan_attention();
}

Status LoadedEngine::State::plan_attention() {
  const tenon_attention_geometry& geometry = builder.shape().attention;
  layers.resize(static_cast<std::size_t>(geometry.layers));
  TENON_TRY(attention.plan_layers(&geometry, layers.data(), specs, &n_specs));
  const auto bad = [&](std::string message, std::string found, std::string expected) {
    return Error{.code = Code::kInternal,
                 .id = "TENON-R056",
                 .message = std::move(message),
                 .where = instances[2].id(),
                 .found = std::move(found),
                 .expected = std::move(expected)};
  };
  if (n_specs < 1 || n_specs > std::size(specs))
    return bad("the attention plugin gave no usable number of cache specs", std::to_string(n_specs),
               "1 to " + std::to_string(std::size(specs)));
  for (const tenon_cache_spec& spec : std::span(specs).first(n_specs))
    if (spec.layers < 1 || spec.layers > geometry.layers || spec.kv_heads != geometry.kv_heads ||
        spec.head_dim != geometry.head_dim || spec.window < 0)
      return bad("the attention plugin's cache spec does not fit the model",
                 spec_text(spec.layers, spec.kv_heads, spec.head_dim),
                 spec_text(geometry.layers, geometry.kv_heads, geometry.head_dim));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const tenon_layer_plan& layer = layers[i];
    if (layer.spec < 0 || layer.spec >= static_cast<std::int32_t>(n_specs) ||
        layer.spec_layer < 0 || layer.spec_layer >= specs[layer.spec].layers)
      return bad("the attention plugin placed a layer outside its cache spec",
                 "layer " + std::to_string(i), "");
    const std::int32_t window = geometry.of_layer[i].window, kept = specs[layer.spec].window;
    if (kept > 0 && (window == 0 || window > kept))
      return bad("the attention plugin keeps less than a layer reads",
                 std::to_string(kept) + " tokens for layer " + std::to_string(i),
                 window == 0 ? "all" : "at least " + std::to_string(window));
    spec_of_layer.push_back(layer.spec);
  }
  return {};
}

Status LoadedEngine::State::make_memory() {
  const RopeTables rope(builder.shape().attention, context);
  const tenon_attend_prepare prepare{{sizeof prepare, 0, nullptr},
                                     &builder.shape().attention,
                                     specs,
                                     spec_of_layer.data(),
                                     n_specs,
                                     context,
                                     rope.of_layer()};
  TENON_TRY(backend.prepare_attend(&prepare));
  for (std::uint32_t i = 0; i < n_specs; ++i) {
    pools.push_back({specs[i].window, backend.kv_page_bytes(i), 0});
    if (pools.back().page_bytes == 0)
      return Error{.code = Code::kInternal,
                   .id = "TENON-R058",
                   .message = "the backend says that a page has no bytes",
                   .where = instances[1].id()};
  }
  TENON_TRY(size_kv_pools(pools, manifest.engine, context, manifest.source));
  for (std::uint32_t i = 0; i < n_specs; ++i) {
    Status made = backend.kv_create(i, pools[i].n_pages);
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

Status LoadedEngine::State::make_engine() {
  const DeviceMemory memory{
      &backend,
      [](void* ctx, std::uint64_t bytes) -> void* {
        void* out = nullptr;
        return static_cast<iface::Backend*>(ctx)->allocate(bytes, &out).ok() ? out : nullptr;
      },
      [](void* ctx, void* data) { static_cast<iface::Backend*>(ctx)->free(data); }, info.memory};
  tensors.emplace(memory);
  dispatch.emplace(&builder.shape(), backend, &*tensors);
  executor.emplace(&builder.shape(), &*dispatch, backend, network, attention, layers);
  ops_provider.executor = &*executor;
  EngineParts parts{builder.shape().decoder.vocabulary,
                    &tokenizer,
                    scheduler,
                    [this](std::span<const BatchItem> items) { return executor->run(items); },
                    {},
                    context,
                    cache_seed};
  for (std::uint32_t i = 0; i < n_specs; ++i) {
    kv.emplace_back(
        KvMemory::Options{i, pools[i].window, pools[i].n_pages, manifest.engine.poison_free_pages},
        std::vector{backend}, caches);
    parts.kv.push_back(&kv.back());
  }
  engine.emplace(std::move(parts));
  return {};
}

LoadedEngine::LoadedEngine(std::unique_ptr<State> state) : state_(std::move(state)) {}
LoadedEngine::~LoadedEngine() = default;

Result<std::unique_ptr<LoadedEngine>> LoadedEngine::load(const Manifest& manifest,
                                                         PluginCatalog& catalog,
                                                         const std::string& model_path) {
  Clock::time_point start = Clock::now();
  TENON_ASSIGN(GgufFile file, GgufFile::open(model_path));
  TENON_ASSIGN(Tokenizer tokenizer, Tokenizer::from_gguf(file));
  auto state = std::make_unique<State>(manifest, std::move(file), std::move(tokenizer));
  TENON_TRY(state->open_plugins(catalog));
  state->times.plugins = seconds_since(start);
  TENON_TRY(state->declare_model());
  state->times.declare = seconds_since(start);
  TENON_TRY(state->builder.load_into(state->backend));
  // Caches live in this process and so does the file: its path and layout identify the weights.
  state->cache_seed = hash_text(state->file.path(), state->cache_seed);
  state->times.weights = seconds_since(start);
  try {  // a file may claim a context whose tables no machine holds
    TENON_TRY(state->make_memory());
    TENON_TRY(state->make_engine());
  } catch (const std::bad_alloc&) {
    return Error{.code = Code::kResourceExhausted,
                 .id = "TENON-R059",
                 .message = "no memory for the engine's tables",
                 .found = "a context of " + std::to_string(state->context) + " tokens",
                 .fix = "lower engine.context or engine.kv_pages"};
  }
  state->times.memory = seconds_since(start);
  return std::unique_ptr<LoadedEngine>(new LoadedEngine(std::move(state)));
}

Engine& LoadedEngine::engine() { return *state_->engine; }
const Tokenizer& LoadedEngine::tokenizer() const { return state_->tokenizer; }
const GgufFile& LoadedEngine::file() const { return state_->file; }
const ModelShape& LoadedEngine::model() const { return state_->builder.shape(); }
std::string_view LoadedEngine::device() const {
  return {state_->info.device.ptr, state_->info.device.len};
}
std::string_view LoadedEngine::numerics() const {
  return {state_->info.numerics.ptr, state_->info.numerics.len};
}
std::int32_t LoadedEngine::context() const { return state_->context; }
std::span<const KvPoolSize> LoadedEngine::kv_pools() const { return state_->pools; }
std::uint32_t LoadedEngine::threads() const { return state_->pool.threads(); }
const LoadTimes& LoadedEngine::times() const { return state_->times; }
void LoadedEngine::observe_ports(Executor::PortObserver observer) {
  state_->executor->observe_ports(std::move(observer));
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
