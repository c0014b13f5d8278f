#include "apps/tenon/session.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <utility>

#include "apps/tenon/default_manifest.h"
#include "apps/tenon/installation.h"
#include "apps/tenon/interrupt.h"
#include "apps/tenon/model_store.h"
#include "apps/tenon/profile_report.h"
#include "apps/tenon/progress.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/plugin/verdict_text.h"

namespace fs = std::filesystem;

namespace tenon::app {
namespace {

Status check_pinned_model(const ManifestModel& model, const std::string& path) {
  if (model.sha256.empty()) return {};
  TENON_ASSIGN(const std::string found, sha256_file(path));
  if (found == model.sha256) return {};
  return Error{.code = Code::kFailedPrecondition,
               .id = "TENON-A031",
               .message = "the model file is not the one that the manifest pins",
               .where = model.where,
               .found = path + ": sha256 " + found,
               .expected = "sha256 " + model.sha256,
               .fix = "use the pinned file, or change model.sha256"};
}

PrepackOptions prepack_of(const EngineChoice& choice) {
  const std::string cache = default_cache_dir();
  return {!choice.no_prepack, cache.empty() ? cache : cache + "/packed"};
}

bool looks_like_file(const std::string& model) {
  return model.find('/') != std::string::npos || model.ends_with(".gguf");
}

}  // namespace

Result<HostConfig> host_of_this_machine() {
  TENON_ASSIGN(HostConfig host, find_host_config());
  if (host.production && host.plugin_directories.empty())
    host.plugin_directories.push_back(find_installation().plugins);
  return host;
}

bool checks_boundary(const EngineChoice& choice, const HostConfig& host) {
  return choice.check_boundary ||
         iface::checks_boundary(host.check_boundary.value_or(iface::kChecksUsually));
}

Result<PluginCatalog> open_catalog(const std::vector<std::string>& directories, bool without_pins) {
  TENON_ASSIGN(HostConfig host, host_of_this_machine());
  if (without_pins) host.require_pins = false;
  PluginCatalog catalog(std::move(host));
  TENON_TRY(add_builtin_plugins(catalog));
  TENON_TRY(catalog.add_directory(find_installation().plugins));
  for (const std::string& directory : directories) TENON_TRY(catalog.add_directory(directory));
  for (const BrokenPlugin& broken : catalog.broken())
    log(Severity::kWarning, "plugin", "left out: " + broken.error.to_string());
  return catalog;
}

Result<Manifest> choose_manifest(const EngineChoice& choice) {
  TENON_ASSIGN(Manifest manifest, choice.manifest.empty()
                                      ? parse_manifest(kDefaultManifest, "(built-in manifest)")
                                      : load_manifest(choice.manifest));
  if (!choice.model.empty()) {
    manifest.model = {.where = "--model"};
    if (looks_like_file(choice.model))
      manifest.model.file = fs::absolute(choice.model).string();
    else
      manifest.model.name = choice.model;
  }
  if (!choice.backend.empty())
    manifest.backend = {.role = "backend", .plugin = choice.backend, .where = "--backend"};
  manifest.engine.threads = choice.threads.value_or(manifest.engine.threads);
  manifest.engine.context = choice.context.value_or(manifest.engine.context);
  if (choice.kv_pages) {
    manifest.engine.kv_pages = *choice.kv_pages;
    manifest.engine.kv_bytes = 0;
  }
  return manifest;
}

Result<std::string> find_model_file(const Manifest& manifest) {
  const ManifestModel& model = manifest.model;
  std::string path;
  if (!model.file.empty()) {
    path = manifest_path(manifest, model.file);
  } else {
    PullDisplay display(model.name);
    TENON_ASSIGN(path, ensure_model(model.name,
                                    [&](const PullProgress& progress) { display.show(progress); }));
  }
  TENON_TRY(check_pinned_model(model, path));
  return path;
}

Result<std::optional<std::string>> model_at_hand(const Manifest& manifest) {
  const ManifestModel& model = manifest.model;
  std::string path;
  if (model.file.empty()) {
    Result<KnownModel> known = find_model(model.name);
    if (!known.ok()) {
      Error error = known.take_error();
      error.where = model.where;
      return error;
    }
    const auto store = ModelStore::open();
    if (!store.ok() || !store->has(*known)) return std::optional<std::string>();
    path = store->path_of(*known);
  } else {
    path = manifest_path(manifest, model.file);
    std::error_code error;
    if (!fs::exists(path, error))
      return Error{.code = Code::kNotFound,
                   .id = "TENON-M030",
                   .message = "the model's file is not there",
                   .where = model.where,
                   .found = path,
                   .fix = "paths are relative to the manifest's folder"};
  }
  TENON_TRY(check_pinned_model(model, path));
  return std::optional<std::string>(path);
}

Status check_assembly(const Assembly& assembly, const Manifest& manifest,
                      const PluginCatalog& catalog, bool allow_untested) {
  TENON_TRY(check_conflicts(assembly, catalog));
  if (assembly.verdict.untested.empty() || catalog.host().allow_untested.value_or(allow_untested))
    return {};
  return untested_error(assembly.contracts, assembly.verdict, manifest.source);
}

Result<std::unique_ptr<Session>> open_session(const EngineChoice& choice) {
  TENON_ASSIGN(Manifest manifest, choose_manifest(choice));
  TENON_ASSIGN(AdapterWish wish, read_adapters(choice.adapters, manifest, choice.one_adapter));
  add_adapters(wish, manifest);
  TENON_ASSIGN(std::unique_ptr<Session> session, open_session(std::move(manifest), choice));
  session->adapters = std::move(wish);
  return session;
}

Result<std::unique_ptr<Session>> open_session(Manifest manifest, const EngineChoice& choice) {
  auto session = std::make_unique<Session>();
  session->manifest = std::move(manifest);
  TENON_ASSIGN(session->catalog, open_catalog(choice.plugin_dirs));
  TENON_TRY(check_profile_files(choice));
  // Before a model is fetched: a manifest that cannot work should not cost a download.
  TENON_ASSIGN(const Assembly assembly, assemble(session->manifest, session->catalog));
  TENON_TRY(check_assembly(assembly, session->manifest, session->catalog, choice.allow_untested));
  for (const Degradation& each : assembly.verdict.degraded)
    log(Severity::kWarning, "plugin", "degraded: " + degradation_text(assembly.contracts, each));
  TENON_ASSIGN(session->model_path, find_model_file(session->manifest));
  TENON_ASSIGN(
      session->engine,
      LoadedEngine::load(session->manifest, session->catalog, session->model_path,
                         {.check_boundary = checks_boundary(choice, session->catalog.host()),
                          .profile = choice.profile || !choice.profile_json.empty(),
                          .trace = !choice.trace.empty(),
                          .prepack = prepack_of(choice)}));
  return session;
}

Result<std::optional<ChatTemplate>> chat_template_of(const LoadedEngine& engine) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  if (!engine.file().has(kKey)) return std::optional<ChatTemplate>();
  TENON_ASSIGN(const std::string_view source, engine.file().get_string(kKey));
  TENON_ASSIGN(ChatTemplate parsed, ChatTemplate::parse(source));
  return std::optional<ChatTemplate>(std::move(parsed));
}

Status run_until_done(Engine& engine, const std::vector<std::uint64_t>& requests) {
  bool stopped = false;
  for (;;) {
    if (interrupted() && !stopped) {
      for (const std::uint64_t request : requests) engine.abort(request);
      stopped = true;
    }
    Result<bool> more = engine.step();
    if (!more.ok()) {
      // The requests must not outlive what their callbacks refer to.
      for (const std::uint64_t request : requests) engine.abort(request);
      [[maybe_unused]] const Result<bool> ended = engine.step();
      return more.take_error();
    }
    if (!*more) break;
  }
  if (stopped) return Error{.code = Code::kCancelled, .id = "TENON-A017", .message = "interrupted"};
  return {};
}

Result<std::string> read_input(const std::string& path) {
  errno = 0;
  std::ifstream file;
  if (path != "-") file.open(path, std::ios::binary);
  std::istream& in = path == "-" ? std::cin : file;
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if ((path == "-" || file.is_open()) && !in.bad() && errno == 0) return text;
  return Error{.code = Code::kNotFound,
               .id = "TENON-A030",
               .message = "cannot read the text",
               .where = path == "-" ? "stdin" : path,
               .found = std::strerror(errno)};
}

}  // namespace tenon::app
