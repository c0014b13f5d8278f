#include "core/conform/matrix.h"

#include <algorithm>
#include <set>

#include "core/conform/test.h"
#include "core/plugin/assembly.h"
#include "core/plugin/verdict_text.h"

namespace tenon::conform {
namespace {

constexpr const char* kReference = "tenon.backend.reference";
constexpr const char* kComm = "tenon.comm.inproc";
constexpr const char* kDefaults[] = {"tenon.model.decoder", kReference, "tenon.attention.dense",
                                     "tenon.scheduler.fcfs"};

bool is_kind(const PluginFile* plugin, const char* kind) { return plugin->descriptor.kind == kind; }

std::string join(const std::vector<std::string>& texts, const char* between) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : between) + text;
  return out;
}

// Two of one role are no pair, except caches, which stand in a chain.
bool is_pair(const PluginFile* a, const PluginFile* b) {
  return a->descriptor.kind != b->descriptor.kind || is_kind(a, "cache");
}

// The oracle is the meaning, so the reference computes it exactly.
std::vector<ManifestParam> params_of_default(const std::string& id) {
  if (id != kReference) return {};
  return {{"policy", std::string("exact"), "matrix"}};
}

bool has(const MatrixParts& parts, const PluginFile* plugin) {
  return std::find(parts.begin(), parts.end(), plugin) != parts.end();
}

}  // namespace

const char* model_name(TinyModel::Family family) {
  return family == TinyModel::Family::kLlama ? "llama" : "gemma";
}

const char* mark_name(Mark mark) {
  constexpr const char* kNames[] = {"works", "degraded", "conflict", "untested", "disagrees"};
  return kNames[static_cast<std::size_t>(mark)];
}

std::string MatrixRun::name() const {
  std::vector<std::string> ids;
  for (const PluginFile* part : parts) ids.push_back(part->descriptor.id);
  return ids.empty() ? "-" : join(ids, ",");
}

std::string MatrixCell::name() const {
  std::vector<std::string> ids;
  for (const PluginFile* part : parts) ids.push_back(part->descriptor.id);
  return join(ids, " with ");
}

Result<Matrix> Matrix::plan(PluginCatalog& catalog,
                            const std::function<bool(const std::string&)>& wanted) {
  Matrix out(catalog);
  std::set<std::string> ids;
  for (const PluginFile& file : catalog.files())
    if (!role_of_kind(file.descriptor.kind).empty()) ids.insert(file.descriptor.id);
  const std::vector<std::string>& kinds = plugin_kinds();
  for (const std::string& kind : kinds)
    for (const std::string& id : ids) {
      TENON_ASSIGN(const PluginFile* file, catalog.find(id));
      if (file->descriptor.kind == kind) out.plugins_.push_back(file);
    }
  out.add_cells(wanted);
  for (MatrixCell& cell : out.cells_)
    if (cell.wanted || out.is_needed(cell)) out.judge_contracts(cell);
  return out;
}

void Matrix::add_cells(const std::function<bool(const std::string&)>& wanted) {
  for (const PluginFile* plugin : plugins_) cells_.push_back({.parts = {plugin}});
  for (std::size_t i = 0; i < plugins_.size(); ++i)
    for (std::size_t j = i; j < plugins_.size(); ++j)
      if (is_pair(plugins_[i], plugins_[j]))
        cells_.push_back({.parts = {plugins_[i], plugins_[j]}});
  for (MatrixCell& cell : cells_) cell.wanted = wanted(cell.name());
}

bool Matrix::is_needed(const MatrixCell& single) const {
  return single.parts.size() == 1 &&
         std::any_of(cells_.begin(), cells_.end(), [&](const MatrixCell& other) {
           return other.wanted && has(other.parts, single.parts.front());
         });
}

const PluginFile* Matrix::find(const std::string& id) const {
  for (const PluginFile* plugin : plugins_)
    if (plugin->descriptor.id == id) return plugin;
  return nullptr;
}

MatrixCell* Matrix::single(const PluginFile* plugin) {
  // The first cells are those of one plugin, in the order of plugins_.
  return &cells_[static_cast<std::size_t>(std::find(plugins_.begin(), plugins_.end(), plugin) -
                                          plugins_.begin())];
}

Result<TinyEngine> Matrix::engine(const MatrixParts& parts, TinyModel::Family family) const {
  TinyEngine out{.family = family};
  for (const char* id : kDefaults)
    if (const PluginFile* plugin = find(id))
      out.put(plugin->descriptor.kind, {id, {}, params_of_default(id)});
  for (const PluginFile* part : parts) {
    TinyPlugin plugin{part->descriptor.id, {}, {}};
    TENON_ASSIGN(const ResolvedParams params, (Subject{.file = *part}.resolve()));
    for (const ParamSpec& spec : part->descriptor.params)
      if (spec.required)
        for (const ResolvedParam& param : params.values())
          if (param.key == spec.key) plugin.params.push_back({param.key, param.value, "matrix"});
    if (plugin.id == kReference) plugin.params = params_of_default(kReference);
    out.put(part->descriptor.kind, std::move(plugin));
  }
  // Every library by its path, so that the same engine has the same manifest.
  const auto pin = [this](TinyPlugin& plugin) {
    if (const PluginFile* file = find(plugin.id)) plugin.library = file->path;
  };
  for (auto& [role, plugin] : out.roles) pin(plugin);
  if (out.second_cache) pin(*out.second_cache);
  return out;
}

void Matrix::judge_contracts(MatrixCell& cell) {
  const auto assembled = [&]() -> Result<Assembly> {
    TENON_ASSIGN(const TinyEngine tiny, engine(cell.parts, TinyModel::Family::kLlama));
    TENON_ASSIGN(const Manifest manifest, tiny_manifest(tiny));
    return assemble(manifest, *catalog_, {});
  }();
  if (!assembled.ok()) {
    cell.obstacle = assembled.error().to_string();
    return;
  }
  const std::vector<Contract>& contracts = assembled->contracts;
  const auto ours = [&](std::size_t part) {
    return std::any_of(cell.parts.begin(), cell.parts.end(), [&](const PluginFile* plugin) {
      return plugin->descriptor.id == contracts[part].id;
    });
  };
  for (const Conflict& conflict : assembled->verdict.conflicts) {
    const bool theirs = std::all_of(conflict.parts.begin(), conflict.parts.end(), ours);
    for (const Cause& cause : conflict.causes) {
      const std::string text = cause_text(contracts, cause);
      if (theirs)
        cell.conflicts.push_back(text);
      else if (cell.obstacle.empty())
        cell.obstacle = "beside the defaults " + text;
    }
  }
  for (const Degradation& each : assembled->verdict.degraded)
    if (ours(each.part)) cell.degraded.push_back(degradation_text(contracts, each));
}

MatrixParts Matrix::without(const MatrixParts& parts, const PluginFile* part) const {
  MatrixParts out = parts;
  out.erase(std::find(out.begin(), out.end(), part));
  const auto replace = [&](const char* id) {
    const PluginFile* oracle = find(id);
    if (oracle != nullptr) out.push_back(oracle);
  };
  if (is_kind(part, "backend")) {
    replace(kReference);
  } else if (is_kind(part, "comm") && part->descriptor.id != kComm) {
    replace(kComm);
  } else if (is_kind(part, "comm") || is_kind(part, "parallelism")) {
    // One rank needs neither.
    std::erase_if(out, [](const PluginFile* each) {
      return is_kind(each, "comm") || is_kind(each, "parallelism");
    });
  }
  return out;  // in other roles the default stands, or nothing
}

Result<std::size_t> Matrix::run_of(const MatrixParts& parts, TinyModel::Family family) {
  TENON_ASSIGN(const TinyEngine tiny, engine(parts, family));
  TENON_ASSIGN(const Manifest manifest, tiny_manifest(tiny));
  const auto [at, added] = run_by_manifest_.emplace(canonical_text(manifest), runs_.size());
  if (added) runs_.push_back({.parts = parts, .family = family});
  return at->second;
}

Status Matrix::add_runs(MatrixCell& cell) {
  for (std::size_t model = 0; model < kMatrixModels.size(); ++model) {
    const TinyModel::Family family = kMatrixModels[model];
    // The kit's adapter is for the first model.
    const bool adapts =
        std::any_of(cell.parts.begin(), cell.parts.end(),
                    [](const PluginFile* part) { return is_kind(part, "adapter"); });
    if (adapts && family == TinyModel::Family::kGemma) continue;
    if (cell.parts.size() > 1 &&
        std::any_of(cell.parts.begin(), cell.parts.end(), [&](const PluginFile* part) {
          const std::size_t run = single(part)->runs[model];
          return run != MatrixCell::kNone && runs_[run].state != RunState::kRan;
        }))
      continue;
    TENON_ASSIGN(cell.runs[model], run_of(cell.parts, family));
    for (const PluginFile* part : cell.parts) TENON_TRY(run_of(without(cell.parts, part), family));
  }
  return {};
}

Status Matrix::add_single_runs() {
  for (MatrixCell& cell : cells_)
    if (is_needed(cell) && cell.may_run()) TENON_TRY(add_runs(cell));
  return {};
}

Status Matrix::add_pair_runs() {
  for (MatrixCell& cell : cells_)
    if (cell.parts.size() > 1 && cell.wanted && cell.may_run()) TENON_TRY(add_runs(cell));
  return {};
}

}  // namespace tenon::conform
