// The canonical text. Written here and not by Protobuf's printer, whose layout may change from
// release to release; the manifest's hash must not.
#include <algorithm>
#include <array>
#include <charconv>

#include "core/manifest/manifest.h"

namespace tenon {
namespace {

std::string quoted(std::string_view text) {
  static constexpr char kDigits[] = "01234567";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte >= 0x20 && byte != 0x7f) {
      out += c;
    } else {
      out += '\\';
      out += kDigits[byte >> 6];
      out += kDigits[(byte >> 3) & 7];
      out += kDigits[byte & 7];
    }
  }
  return out + "\"";
}

std::string double_text(double value) {
  std::array<char, 64> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), error == std::errc() ? end : buffer.data()};
}

class Writer {
 public:
  void open(std::string_view name) {
    line(std::string(name) + " {");
    indent_ += 2;
  }
  void close() {
    indent_ -= 2;
    line("}");
  }
  void field(std::string_view name, const std::string& value) {
    line(std::string(name) + ": " + value);
  }
  void text(std::string_view name, const std::string& value) {
    if (!value.empty()) field(name, quoted(value));
  }
  std::string take() { return std::move(out_); }

 private:
  void line(const std::string& content) {
    out_.append(indent_, ' ');
    out_ += content + "\n";
  }
  std::string out_;
  std::size_t indent_ = 0;
};

constexpr std::array<std::string_view, 4> kValueFields = {"b", "i", "d", "s"};

void write_role(Writer& out, const ManifestRole& role) {
  out.open(role.role);
  out.text("plugin", role.plugin);
  out.text("version", role.version);
  if (role.library) {
    out.open("library");
    out.text("path", role.library->path);
    out.text("sha256", role.library->sha256);
    out.close();
  }
  std::vector<const ManifestParam*> params;
  for (const ManifestParam& param : role.params) params.push_back(&param);
  std::sort(params.begin(), params.end(), [](auto* a, auto* b) { return a->key < b->key; });
  for (const ManifestParam* param : params) {
    out.open("param");
    out.text("key", param->key);
    out.field(kValueFields[param->value.index()], param_value_text(param->value));
    out.close();
  }
  out.close();
}

void write_engine(Writer& out, const ManifestEngine& engine) {
  out.open("engine");
  out.field("threads", std::to_string(engine.threads));
  out.field("stripes_per_thread", std::to_string(engine.stripes_per_thread));
  out.field("context", std::to_string(engine.context));
  out.field("kv_bytes", std::to_string(engine.kv_bytes));
  out.field("kv_pages", std::to_string(engine.kv_pages));
  out.field("poison_free_pages", engine.poison_free_pages ? "true" : "false");
  out.text("cache_salt", engine.cache_salt);
  out.field("ranks", std::to_string(engine.ranks));
  out.field("deterministic", engine.deterministic ? "true" : "false");
  out.field("pin_threads", engine.pin_threads ? "true" : "false");
  out.close();
}

void write_sampling(Writer& out, const ManifestSampling& sampling) {
  const auto number = [&](std::string_view name, const auto& value) {
    if (!value) return;
    if constexpr (std::is_same_v<decltype(*value), const double&>)
      out.field(name, double_text(*value));
    else
      out.field(name, std::to_string(*value));
  };
  out.open("sampling");
  number("temperature", sampling.temperature);
  number("top_k", sampling.top_k);
  number("top_p", sampling.top_p);
  number("min_p", sampling.min_p);
  number("repetition_penalty", sampling.repetition_penalty);
  number("presence_penalty", sampling.presence_penalty);
  number("frequency_penalty", sampling.frequency_penalty);
  number("max_tokens", sampling.max_tokens);
  number("seed", sampling.seed);
  out.close();
}

template <class Role, class Whole>
std::vector<Role*> roles_of(Whole& manifest) {
  std::vector<Role*> out = {&manifest.network, &manifest.backend, &manifest.attention,
                            &manifest.scheduler};
  for (Role& role : manifest.cache) out.push_back(&role);
  for (auto* role : {&manifest.adapter, &manifest.tp, &manifest.comm})
    if (*role) out.push_back(&**role);
  return out;
}

}  // namespace

std::vector<ManifestRole*> manifest_roles(Manifest& manifest) {
  return roles_of<ManifestRole>(manifest);
}

std::vector<const ManifestRole*> manifest_roles(const Manifest& manifest) {
  return roles_of<const ManifestRole>(manifest);
}

std::string param_value_text(const ParamValue& value) {
  if (const bool* b = std::get_if<bool>(&value)) return *b ? "true" : "false";
  if (const std::int64_t* i = std::get_if<std::int64_t>(&value)) return std::to_string(*i);
  if (const double* d = std::get_if<double>(&value)) return double_text(*d);
  return quoted(std::get<std::string>(value));
}

std::string canonical_text(const Manifest& manifest) {
  Writer out;
  out.open("model");
  out.text("file", manifest.model.file);
  out.text("name", manifest.model.name);
  out.text("sha256", manifest.model.sha256);
  out.close();
  for (const ManifestRole* role : manifest_roles(manifest)) write_role(out, *role);
  for (const ManifestAdapter& adapter : manifest.adapters) {
    out.open("adapters");
    out.text("name", adapter.name);
    out.text("path", adapter.path);
    out.close();
  }
  write_engine(out, manifest.engine);
  write_sampling(out, manifest.sampling);
  return out.take();
}

Hash128 manifest_hash(const Manifest& manifest) { return hash_text(canonical_text(manifest)); }

}  // namespace tenon
