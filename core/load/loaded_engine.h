// An engine with everything under it, made from a manifest: plugins opened and instantiated, the
// model declared and loaded, memory made. Owns all of it and takes it down in the right order.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/adapter/adapter_set.h"
#include "core/base/stripe_pool.h"
#include "core/format/gguf.h"
#include "core/format/tokenizer.h"
#include "core/iface/boundary.h"
#include "core/load/kv_budget.h"
#include "core/load/model_costs.h"
#include "core/load/prepack.h"
#include "core/manifest/manifest.h"
#include "core/plugin/catalog.h"
#include "core/runtime/engine.h"
#include "core/runtime/executor.h"

namespace tenon {

// Puts the reference backend into a catalog; every catalog that an engine is loaded from has it.
Status add_builtin_plugins(PluginCatalog& catalog);

// Sets what is given; leaves the rest.
void apply_sampling(const ManifestSampling& given, RequestSpec& spec);

struct LoadOptions {
  // Every call between the core and a plugin goes through the checking proxy: docs/operate.
  bool check_boundary = iface::checks_boundary();
  // Where the time of steps goes, and with `trace` every span of it. With ranks: the first one's.
  bool profile = false, trace = false;
  // Also plugins that are recorded as failing together: to run them again. Untested pairs are the
  // caller's to refuse in any case.
  bool ignore_record = false;
  PrepackOptions prepack;
};

struct LoadTimes {  // seconds
  double plugins = 0, declare = 0, weights = 0, memory = 0, adapters = 0;
};

class LoadedEngine {
 public:
  // `model_path` is the file that the manifest's model means. Refused before a weight is read:
  // whatever descriptors, metadata and shapes can tell.
  static Result<std::unique_ptr<LoadedEngine>> load(const Manifest& manifest,
                                                    PluginCatalog& catalog,
                                                    const std::string& model_path,
                                                    const LoadOptions& options = {});
  ~LoadedEngine();

  Engine& engine();
  // Null when the manifest has no adapter plugin.
  AdapterSet* adapters();
  const Tokenizer& tokenizer() const;
  const GgufFile& file() const;
  const ModelShape& model() const;
  ModelCosts costs() const;                      // of all ranks together
  std::string_view device() const;               // "cpu avx2"
  std::string_view numerics() const;             // "contract/1"
  std::int32_t context() const;                  // tokens of the longest sequence
  std::span<const KvPoolSize> kv_pools() const;  // one per cache spec
  std::uint32_t threads() const;                 // of all ranks together
  std::uint32_t ranks() const;
  const LoadTimes& times() const;
  // The file that the first rank's packed weights were read from; empty: they were packed now.
  const std::string& packed_file() const;
  // Null unless it was asked for. Read it between steps.
  const Profile* profile() const;
  // A request with the manifest's sampling.
  RequestSpec default_request() const;
  // See Executor::observe_ports.
  void observe_ports(Executor::PortObserver observer);

 private:
  struct State;
  explicit LoadedEngine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tenon
