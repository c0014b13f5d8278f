// The only file of the tree that knows the manifest as a Protobuf message.
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/base/suggest.h"
#include "core/manifest/checks.h"
#include "core/manifest/manifest.h"
#include "core/manifest/manifest.pb.h"

namespace tenon {
namespace {

namespace pb = google::protobuf;
using manifest_checks::PlaceOf;

constexpr std::size_t kMaxBytes = 1 << 20;

std::string place(const std::string& name, int line, int column) {
  return line < 0 ? name : name + ":" + std::to_string(line + 1) + ":" + std::to_string(column + 1);
}

class FirstError : public pb::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (!message_.empty()) return;
    line_ = line;
    column_ = column;
    message_ = message;
  }
  void AddWarning(int, int, const std::string&) override {}
  const std::string& message() const { return message_; }
  std::string where(const std::string& name) const { return place(name, line_, column_); }
  int line() const { return line_; }
  int column() const { return column_; }

 private:
  int line_ = -1, column_ = -1;
  std::string message_;
};

// A message of the input with its place: the parser's tree for text, a path of names for JSON.
struct Node {
  const std::string* name;
  const pb::Descriptor* type;
  const pb::TextFormat::ParseInfoTree* tree;  // null: JSON, or the message is absent
  std::string path;

  std::string step(const char* field, int index) const {
    return (path.empty() ? "" : path + ".") + field +
           (index < 0 ? "" : "[" + std::to_string(index) + "]");
  }
  Node child(const char* field, int index = -1) const {
    const pb::FieldDescriptor* at = type->FindFieldByName(field);
    return {name, at->message_type(), tree == nullptr ? nullptr : tree->GetTreeForNested(at, index),
            step(field, index)};
  }
  std::string where(const char* field, int index = -1) const {
    if (tree == nullptr) return *name + (path.empty() ? "" : ":" + step(field, index));
    const auto at = tree->GetLocation(type->FindFieldByName(field), index);
    return place(*name, at.line, at.column);
  }
};

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

Result<ManifestParam> convert_param(const manifest::v1::Param& from, const std::string& where) {
  using Case = manifest::v1::Param::ValueCase;
  ManifestParam out{.key = from.key(), .where = where};
  switch (from.value_case()) {
    case Case::kB:
      out.value = from.b();
      return out;
    case Case::kI:
      out.value = static_cast<std::int64_t>(from.i());
      return out;
    case Case::kD:
      out.value = from.d();
      return out;
    case Case::kS:
      out.value = from.s();
      return out;
    case Case::VALUE_NOT_SET:
      break;
  }
  return Error{.code = Code::kInvalidArgument,
               .id = "TENON-M010",
               .message = "parameter \"" + from.key() + "\" has no value",
               .where = where,
               .expected = "one of b (bool), i (integer), d (number), s (string)"};
}

Result<ManifestRole> convert_role(const char* role, const manifest::v1::Role& from,
                                  const Node& node, const std::string& where) {
  ManifestRole out{
      .role = role, .plugin = from.plugin(), .version = from.version(), .where = where};
  if (from.has_library())
    out.library = ManifestLibrary{from.library().path(), lower(from.library().sha256())};
  for (int i = 0; i < from.param_size(); ++i) {
    TENON_ASSIGN(ManifestParam param, convert_param(from.param(i), node.where("param", i)));
    out.params.push_back(std::move(param));
  }
  return out;
}

ManifestEngine convert_engine(const manifest::v1::Engine& from) {
  ManifestEngine out{.threads = from.threads(),
                     .stripes_per_thread = from.stripes_per_thread(),
                     .context = from.context(),
                     .kv_bytes = from.kv_bytes(),
                     .kv_pages = from.kv_pages(),
                     .poison_free_pages = from.poison_free_pages(),
                     .cache_salt = from.cache_salt(),
                     .ranks = from.ranks(),
                     .deterministic = from.deterministic(),
                     .pin_threads = from.pin_threads()};
  if (out.ranks == 0) out.ranks = 1;
  if (out.stripes_per_thread == 0) out.stripes_per_thread = ManifestEngine().stripes_per_thread;
  return out;
}

ManifestSampling convert_sampling(const manifest::v1::Sampling& from) {
  ManifestSampling out;
  if (from.has_temperature()) out.temperature = from.temperature();
  if (from.has_top_k()) out.top_k = from.top_k();
  if (from.has_top_p()) out.top_p = from.top_p();
  if (from.has_min_p()) out.min_p = from.min_p();
  if (from.has_repetition_penalty()) out.repetition_penalty = from.repetition_penalty();
  if (from.has_presence_penalty()) out.presence_penalty = from.presence_penalty();
  if (from.has_frequency_penalty()) out.frequency_penalty = from.frequency_penalty();
  if (from.has_max_tokens()) out.max_tokens = from.max_tokens();
  if (from.has_seed()) out.seed = from.seed();
  return out;
}

Status convert_roles(const manifest::v1::Manifest& from, const Node& root, Manifest& out) {
  const auto convert = [&](const char* role, const manifest::v1::Role& message,
                           ManifestRole& to) -> Status {
    TENON_ASSIGN(to, convert_role(role, message, root.child(role), root.where(role)));
    return {};
  };
  TENON_TRY(convert("network", from.network(), out.network));
  TENON_TRY(convert("backend", from.backend(), out.backend));
  TENON_TRY(convert("attention", from.attention(), out.attention));
  TENON_TRY(convert("scheduler", from.scheduler(), out.scheduler));
  for (int i = 0; i < from.cache_size(); ++i) {
    TENON_ASSIGN(ManifestRole role, convert_role("cache", from.cache(i), root.child("cache", i),
                                                 root.where("cache", i)));
    out.cache.push_back(std::move(role));
  }
  const auto convert_optional = [&](const char* role, bool given, const manifest::v1::Role& message,
                                    std::optional<ManifestRole>& to) -> Status {
    return given ? convert(role, message, to.emplace()) : Status();
  };
  TENON_TRY(convert_optional("adapter", from.has_adapter(), from.adapter(), out.adapter));
  TENON_TRY(convert_optional("tp", from.has_tp(), from.tp(), out.tp));
  TENON_TRY(convert_optional("comm", from.has_comm(), from.comm(), out.comm));
  for (int i = 0; i < from.adapters_size(); ++i)
    out.adapters.push_back(
        {from.adapters(i).name(), from.adapters(i).path(), root.where("adapters", i)});
  return {};
}

Result<Manifest> convert(const manifest::v1::Manifest& from, const std::string& name,
                         const pb::TextFormat::ParseInfoTree* tree) {
  const Node root{&name, manifest::v1::Manifest::descriptor(), tree, ""};
  Manifest out{.source = name};
  out.model = {.file = from.model().file(),
               .name = from.model().name(),
               .sha256 = lower(from.model().sha256()),
               .where = root.where("model")};
  TENON_TRY(convert_roles(from, root, out));
  out.engine = convert_engine(from.engine());
  out.sampling = convert_sampling(from.sampling());
  const PlaceOf place_of = [&](std::string_view field) {
    const std::size_t dot = field.find('.');
    const std::string message(field.substr(0, dot)), leaf(field.substr(dot + 1));
    return root.child(message.c_str()).where(leaf.c_str());
  };
  TENON_TRY(manifest_checks::check_manifest(out, place_of));
  return out;
}

std::vector<std::string> fields_of(const pb::Descriptor* type) {
  std::vector<std::string> out;
  for (int i = 0; type != nullptr && i < type->field_count(); ++i)
    out.push_back(type->field(i)->name());
  return out;
}

Error unknown_field(const pb::Descriptor* type, const std::string& field,
                    const std::string& where) {
  return Error{
      .code = Code::kInvalidArgument,
      .id = "TENON-M004",
      .message = "unknown field \"" + field + "\"" + (type == nullptr ? "" : " in " + type->name()),
      .where = where,
      .fix = suggest_fix(field, fields_of(type))};
}

// The quoted parts of one of Protobuf's messages.
std::vector<std::string> quoted_parts(const std::string& message) {
  std::vector<std::string> out;
  std::size_t begin = message.find('"');
  while (begin != std::string::npos) {
    const std::size_t end = message.find('"', begin + 1);
    if (end == std::string::npos) break;
    out.push_back(message.substr(begin + 1, end - begin - 1));
    begin = message.find('"', end + 1);
  }
  return out;
}

// The parser has already read past an unknown name when it complains; this is the place of the name
// itself.
std::string name_place(std::string_view text, const std::string& name, const FirstError& first,
                       const std::string& field) {
  std::size_t begin = 0;
  for (int line = 0; line < first.line() && begin < text.size(); ++line)
    begin = std::min(text.find('\n', begin), text.size() - 1) + 1;
  const std::size_t at =
      text.rfind(field, begin + static_cast<std::size_t>(std::max(first.column(), 0)));
  return at == std::string_view::npos ? first.where(name)
                                      : manifest_checks::place_of_byte(text, name, at);
}

// Which of our ids one of the text parser's messages is. What is not recognised is a mistake of
// form.
Error text_error(const FirstError& first, std::string_view text, const std::string& name) {
  const std::string& message = first.message();
  const std::string where = first.where(name);
  const std::vector<std::string> parts = quoted_parts(message);
  const auto has = [&](const char* part) { return message.find(part) != std::string::npos; };
  if (has("has no field named") && parts.size() == 2)
    return unknown_field(pb::DescriptorPool::generated_pool()->FindMessageTypeByName(parts[0]),
                         parts[1], name_place(text, name, first, parts[1]));
  const char* id = "TENON-M003";
  if (has("Expected integer") || has("Expected double") || has("Expected string") ||
      has("Integer out of range") || has("Invalid value for boolean"))
    id = "TENON-M005";
  if (has("specified multiple times")) id = "TENON-M005";
  if (has("specified along with")) id = "TENON-M007";
  const bool stop = !message.empty() && message.back() == '.';
  return Error{.code = Code::kInvalidArgument,
               .id = id,
               .message = stop ? message.substr(0, message.size() - 1) : message,
               .where = where};
}

Result<Manifest> parse_text(std::string_view text, const std::string& name) {
  manifest::v1::Manifest message;
  pb::TextFormat::ParseInfoTree tree;
  FirstError first;
  pb::TextFormat::Parser parser;
  parser.RecordErrorsTo(&first);
  parser.WriteLocationsTo(&tree);
  if (!parser.ParseFromString(std::string(text), &message)) return text_error(first, text, name);
  return convert(message, name, &tree);
}

// The message type that a path such as "scheduler.param[0]" leads to.
const pb::Descriptor* type_at(std::string_view path) {
  const pb::Descriptor* type = manifest::v1::Manifest::descriptor();
  while (type != nullptr && !path.empty()) {
    const std::size_t end = std::min(path.find('.'), path.size());
    const std::string field(path.substr(0, std::min(path.find('['), end)));
    const pb::FieldDescriptor* at = type->FindFieldByName(field);
    if (at == nullptr) at = type->FindFieldByCamelcaseName(field);
    type = at == nullptr ? nullptr : at->message_type();
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return type;
}

// "(scheduler.param[0]) valu: Cannot find field." and the like.
Error json_error(const std::string& message, std::string_view text, const std::string& name) {
  std::string path, rest = message;
  if (const std::size_t end = message.find(") ");
      message.starts_with("(") && end != std::string::npos) {
    path = message.substr(1, end - 1);
    rest = message.substr(end + 2);
  }
  const std::size_t colon = rest.find(": Cannot find field");
  if (colon != std::string::npos) {
    const std::string field = rest.substr(0, colon);
    return unknown_field(type_at(path), field, manifest_checks::json_key_place(text, name, field));
  }
  const bool oneof = rest.find("oneof") != std::string::npos;
  return Error{.code = Code::kInvalidArgument,
               .id = oneof ? "TENON-M007" : "TENON-M005",
               .message = "a value does not fit its field: " + rest,
               .where = path.empty() ? name : name + ":" + path};
}

Result<Manifest> parse_json(std::string_view text, const std::string& name) {
  TENON_TRY(manifest_checks::check_json(text, name));
  manifest::v1::Manifest message;
  pb::util::JsonParseOptions options;
  options.ignore_unknown_fields = false;
  const auto status = pb::util::JsonStringToMessage(std::string(text), &message, options);
  if (!status.ok()) return json_error(status.message().ToString(), text, name);
  return convert(message, name, nullptr);
}

}  // namespace

Result<Manifest> parse_manifest(std::string_view text, const std::string& name) {
  if (text.size() > kMaxBytes)
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-M002",
                 .message = "too large for a manifest",
                 .where = name,
                 .found = std::to_string(text.size()) + " bytes",
                 .expected = "at most " + std::to_string(kMaxBytes)};
  const pb::LogSilencer quiet;  // what it would print is in the error
  return name.ends_with(".json") ? parse_json(text, name) : parse_text(text, name);
}

Result<Manifest> load_manifest(const std::string& path) {
  std::error_code failed;
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path, failed))
    return Error{
        .code = Code::kNotFound,
        .id = "TENON-M001",
        .message = "cannot read the manifest",
        .where = path,
        .found = std::filesystem::exists(path, failed) ? "not a readable file" : "no file"};
  std::string text(kMaxBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return parse_manifest(text, path);
}

std::string manifest_path(const Manifest& manifest, const std::string& path) {
  return (std::filesystem::path(manifest.source).parent_path() / path).lexically_normal().string();
}

}  // namespace tenon
