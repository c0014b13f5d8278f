#include "core/conform/tiny_engine.h"

#include "core/conform/tiny_adapter.h"
#include "core/plugin/compose.h"

namespace tenon::conform {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string param_text(const ManifestParam& param) {
  const char* field = std::holds_alternative<bool>(param.value)           ? "b"
                      : std::holds_alternative<std::int64_t>(param.value) ? "i"
                      : std::holds_alternative<double>(param.value)       ? "d"
                                                                          : "s";
  const std::string value = std::holds_alternative<std::string>(param.value)
                                ? quoted(std::get<std::string>(param.value))
                                : param_value_text(param.value);
  return "param { key: " + quoted(param.key) + " " + field + ": " + value + " } ";
}

std::string role_text(const std::string& role, const TinyPlugin& plugin) {
  std::string out = role + " { plugin: " + quoted(plugin.id) + " ";
  if (!plugin.library.empty()) out += "library { path: " + quoted(plugin.library) + " } ";
  for (const ManifestParam& param : plugin.params) out += param_text(param);
  return out + "}\n";
}

std::string manifest_text(const TinyEngine& engine, const std::string& model,
                          const std::string& adapter) {
  std::map<std::string, TinyPlugin> roles = {
      {"network", {"tenon.model.decoder", {}, {}}},
      {"backend", {"tenon.backend.reference", {}, {{"policy", std::string("exact"), "kit"}}}},
      {"attention", {"tenon.attention.dense", {}, {}}},
      {"scheduler", {"tenon.scheduler.fcfs", {}, {}}}};
  for (const auto& [role, plugin] : engine.roles) roles[role] = plugin;
  std::string out = "model { file: " + quoted(model) + " }\n";
  for (const auto& [role, plugin] : roles) out += role_text(role, plugin);
  if (engine.second_cache) out += role_text("cache", *engine.second_cache);
  if (!adapter.empty()) out += "adapters { name: \"kit\" path: " + quoted(adapter) + " }\n";
  out += "engine { threads: " + std::to_string(engine.threads) + " kv_pages: 40";
  if (engine.ranks > 1) out += " ranks: " + std::to_string(engine.ranks);
  return out + " }\n";
}

const std::string& model_file(TinyModel::Family family) {
  static const std::string llama = TinyModel().save("conform-llama"),
                           gemma = TinyModel::gemma().save("conform-gemma");
  return family == TinyModel::Family::kLlama ? llama : gemma;
}

const std::string& adapter_files() {
  static const std::string folder = TinyAdapter(1, TinyAdapter::llama_modules()).save("conform");
  return folder;
}

RequestSpec request(int i, bool with_adapter) {
  RequestSpec out;
  const int lengths[] = {3, 70, 150, 65, 1, 128};
  for (int t = 0; t < lengths[i]; ++t)
    out.prompt.push_back((t < 64 ? t * 7 + 3 : t * 5 + i) % 250);  // a shared first page
  out.max_tokens = 12;
  out.ignore_eos = true;
  out.sampling.seed = static_cast<std::uint64_t>(100 + i);
  if (i % 2 == 1) {
    out.sampling.temperature = 0.8;
    out.sampling.top_k = 40;
  }
  if (with_adapter && i % 3 == 2) out.adapter = "kit";
  return out;
}

}  // namespace

void TinyEngine::put(const std::string& kind, TinyPlugin plugin) {
  const std::string role = role_of_kind(kind);
  if (role == "cache" && roles.contains(role)) {
    second_cache = std::move(plugin);
    return;
  }
  roles[role] = std::move(plugin);
  if (role != "tp" && role != "comm") return;
  // As many as the model's heads can be cut for.
  ranks = family == TinyModel::Family::kLlama ? 3 : 2;
  roles.try_emplace("tp", TinyPlugin{"tenon.parallelism.tp", {}, {}});
  roles.try_emplace("comm", TinyPlugin{"tenon.comm.inproc", {}, {}});
}

Result<Manifest> tiny_manifest(const TinyEngine& engine) {
  const bool adapts = engine.roles.contains("adapter");
  return parse_manifest(
      manifest_text(engine, model_file(engine.family), adapts ? adapter_files() : std::string()),
      "kit.textproto");
}

Result<std::unique_ptr<LoadedEngine>> load_tiny(const TinyEngine& engine, PluginCatalog& catalog,
                                                const LoadOptions& options) {
  TENON_ASSIGN(const Manifest manifest, tiny_manifest(engine));
  return LoadedEngine::load(manifest, catalog, model_file(engine.family), options);
}

Result<std::vector<TinyAnswer>> run_tiny(const TinyEngine& engine,
                                         const std::vector<std::string>& directories) {
  PluginCatalog catalog;
  TENON_TRY(add_builtin_plugins(catalog));
  for (const std::string& directory : directories) TENON_TRY(catalog.add_directory(directory));
  TENON_ASSIGN(const auto loaded, load_tiny(engine, catalog, {.check_boundary = true}));
  return answer_tiny(*loaded);
}

Result<std::vector<TinyAnswer>> answer_tiny(LoadedEngine& engine) {
  std::vector<TinyAnswer> answers(9);
  std::size_t next = 0;
  for (const auto& wave : {std::vector<int>{0, 1, 2}, {3, 4, 5}, {0, 1, 2}}) {
    for (const int i : wave) {
      RequestSpec spec = request(i, engine.adapters() != nullptr);
      spec.on_event = [&answer = answers[next++]](const TokenEvent& event) {
        if (event.token < 0) return;
        answer.tokens.push_back(event.token);
        answer.logprobs.push_back(event.logprob);
      };
      TENON_TRY(engine.engine().submit(std::move(spec)));
    }
    // The second wave comes into the first; the third finds what both have left.
    const int steps = next == 3 ? 4 : 100000;
    for (int step = 0; step < steps; ++step) {
      TENON_ASSIGN(const bool more, engine.engine().step());
      if (!more) break;
    }
  }
  if (engine.engine().live() > 0)
    return Error{
        .code = Code::kInternal, .id = "TENON-K050", .message = "requests of the kit never end"};
  return answers;
}

}  // namespace tenon::conform
