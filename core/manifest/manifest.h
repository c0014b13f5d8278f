// A manifest as plain data: which model, one plugin per role, their parameters, the engine's and
// the sampler's numbers. Reading checks the form and the ranges of the core's own fields; whether
// the plugins exist, accept the parameters and fit together is the plugin folder's work
// (core/plugin/assembly.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/manifest/param_value.h"

namespace tenon {

// `where` of every part is ready for an Error: "serve.textproto:9:3", or
// "serve.json:scheduler.param[0]".
struct ManifestParam {
  std::string key;
  ParamValue value;
  std::string where;
};

struct ManifestLibrary {
  std::string path;    // as written; relative to the manifest's folder
  std::string sha256;  // lower case, or empty
};

struct ManifestRole {
  std::string
      role;  // "network", "backend", "attention", "scheduler", "cache", "adapter", "tp", "comm"
  std::string plugin;
  std::string version;  // a range; empty accepts any
  std::optional<ManifestLibrary> library;
  std::vector<ManifestParam> params;
  std::string where;
};

struct ManifestModel {
  std::string file;    // one of file and name is set; file is as written
  std::string name;    // of the model list
  std::string sha256;  // lower case, or empty
  std::string where;
};

struct ManifestEngine {
  std::int64_t threads = 0;  // 0: all cores
  std::int64_t stripes_per_thread = 4;
  std::int64_t context = 0;   // tokens of one sequence; 0: the model's own
  std::int64_t kv_bytes = 0;  // at most one of the two is set; both 0: the engine's default
  std::int64_t kv_pages = 0;
  bool poison_free_pages = false;
  std::string cache_salt;
  std::int64_t ranks = 1;      // that share the model
  bool deterministic = false;  // refuse plugins that give other bits on purpose
  bool pin_threads = false;    // each worker stays on one processor
};

struct ManifestAdapter {
  std::string name;  // what requests call it
  std::string path;  // a folder; as written
  std::string where;
};

// What a request does not say itself. Unset: the sampler's own default.
struct ManifestSampling {
  std::optional<double> temperature;
  std::optional<std::int64_t> top_k;
  std::optional<double> top_p;
  std::optional<double> min_p;
  std::optional<double> repetition_penalty;
  std::optional<double> presence_penalty;
  std::optional<double> frequency_penalty;
  std::optional<std::int64_t> max_tokens;
  std::optional<std::uint64_t> seed;
};

struct Manifest {
  std::string source;  // the file's path, or the name that parse_manifest() was given
  ManifestModel model;
  ManifestRole network{.role = "network"};
  ManifestRole backend{.role = "backend"};
  ManifestRole attention{.role = "attention"};
  ManifestRole scheduler{.role = "scheduler"};
  std::vector<ManifestRole> cache;
  std::optional<ManifestRole> adapter, tp, comm;
  std::vector<ManifestAdapter> adapters;
  ManifestEngine engine;
  ManifestSampling sampling;
};

// Text format, or JSON when the path or name ends in ".json".
Result<Manifest> load_manifest(const std::string& path);
Result<Manifest> parse_manifest(std::string_view text, const std::string& name);

// The roles that are filled, in the order network, backend, attention, scheduler, caches, adapter,
// tp, comm.
std::vector<ManifestRole*> manifest_roles(Manifest& manifest);
std::vector<const ManifestRole*> manifest_roles(const Manifest& manifest);

// A path of the manifest, made relative to the manifest's own folder.
std::string manifest_path(const Manifest& manifest, const std::string& path);

// One text per meaning: fixed order of fields, parameters by key, defaults of the engine filled in.
// Reading it back gives the same manifest.
std::string canonical_text(const Manifest& manifest);
Hash128 manifest_hash(const Manifest& manifest);

}  // namespace tenon
