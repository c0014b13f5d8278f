#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/tenon/cli.h"
#include "core/format/gguf.h"
#include "core/manifest/manifest.h"
#include "core/plugin/plugin_file.h"
#include "core/plugin/reference_page.h"

namespace tenon::app {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kShownText = 72;  // bytes of a long text in the plain listing

std::string dump(const ordered_json& value, int indent = -1) {
  return value.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

ordered_json value_json(const GgufValue& value) {
  switch (value.kind) {
    case GgufKind::kUint:
      return value.u;
    case GgufKind::kInt:
      return value.i;
    case GgufKind::kFloat:
      return value.f;
    case GgufKind::kBool:
      return value.b;
    case GgufKind::kString:
      return std::string(value.s);
    case GgufKind::kArray:
      return {{"array_of", std::string(gguf_kind_name(value.array.element))},
              {"count", value.array.count}};
  }
  return nullptr;
}

std::string value_text(const GgufValue& value) {
  if (value.kind == GgufKind::kArray)
    return std::to_string(value.array.count) + " x " +
           std::string(gguf_kind_name(value.array.element));
  if (value.kind != GgufKind::kString) return dump(value_json(value));
  const std::string shown = dump(std::string(value.s.substr(0, kShownText)));
  return value.s.size() <= kShownText
             ? shown
             : shown + " ... (" + std::to_string(value.s.size()) + " bytes)";
}

struct TypeTotal {
  std::uint64_t tensors = 0, values = 0, bytes = 0;
};

std::map<std::string, TypeTotal> totals_of(const GgufFile& file) {
  std::map<std::string, TypeTotal> totals;
  for (const GgufTensor& tensor : file.tensors()) {
    TypeTotal& total = totals[std::string(ggml_type_info(tensor.type).name)];
    ++total.tensors;
    total.values += tensor.values();
    total.bytes += tensor.data.size();
  }
  return totals;
}

std::string shape_text(const GgufTensor& tensor) {
  std::string out;
  for (const std::uint64_t n : tensor.shape) out += (out.empty() ? "" : " x ") + std::to_string(n);
  return out;
}

void print_model(const GgufFile& file, bool tensors) {
  std::printf("%s: GGUF %" PRIu32 ", %" PRIu64 " bytes, alignment %" PRIu64 "\n",
              file.path().c_str(), file.version(), file.file_bytes(), file.alignment());
  for (const auto& [key, value] : file.metadata())
    std::printf("  %-44s %s\n", std::string(key).c_str(), value_text(value).c_str());
  std::printf("%zu tensors\n", file.tensors().size());
  for (const auto& [type, total] : totals_of(file))
    std::printf("  %-8s %5" PRIu64 " tensors %14" PRIu64 " values %14" PRIu64 " bytes\n",
                type.c_str(), total.tensors, total.values, total.bytes);
  if (!tensors) return;
  for (const GgufTensor& tensor : file.tensors())
    std::printf("  %-40s %-8s %s\n", std::string(tensor.name).c_str(),
                std::string(ggml_type_info(tensor.type).name).c_str(), shape_text(tensor).c_str());
}

void print_model_json(const GgufFile& file, bool tensors) {
  ordered_json out = {{"file", file.path()},
                      {"format", "gguf"},
                      {"version", file.version()},
                      {"bytes", file.file_bytes()},
                      {"alignment", file.alignment()},
                      {"metadata", ordered_json::object()},
                      {"types", ordered_json::object()}};
  for (const auto& [key, value] : file.metadata())
    out["metadata"][std::string(key)] = value_json(value);
  for (const auto& [type, total] : totals_of(file))
    out["types"][type] = {
        {"tensors", total.tensors}, {"values", total.values}, {"bytes", total.bytes}};
  if (tensors) {
    out["tensors"] = ordered_json::array();
    for (const GgufTensor& tensor : file.tensors())
      out["tensors"].push_back({{"name", std::string(tensor.name)},
                                {"type", std::string(ggml_type_info(tensor.type).name)},
                                {"shape", tensor.shape}});
  }
  std::puts(dump(out, 2).c_str());
}

Status inspect_manifest(const InspectCommand& command) {
  TENON_ASSIGN(const Manifest manifest, load_manifest(command.file));
  const Hash128 hash = manifest_hash(manifest);
  const std::string text = canonical_text(manifest);
  char digits[33];
  std::snprintf(digits, sizeof digits, "%016" PRIx64 "%016" PRIx64, hash.high, hash.low);
  if (command.json)
    std::puts(dump({{"file", command.file}, {"hash", digits}, {"canonical", text}}, 2).c_str());
  else
    std::printf("# canonical form, hash %s\n%s", digits, text.c_str());
  return {};
}

Status inspect(const InspectCommand& command) {
  char magic[4] = {};
  std::ifstream in(command.file, std::ios::binary);
  if (!in)
    return Error{.code = Code::kNotFound,
                 .id = "TENON-A030",
                 .message = "cannot read the file",
                 .where = command.file,
                 .found = std::strerror(errno)};
  in.read(magic, sizeof magic);
  if (std::memcmp(magic, "GGUF", 4) == 0) {
    TENON_ASSIGN(const GgufFile file, GgufFile::open(command.file));
    command.json ? print_model_json(file, command.tensors) : print_model(file, command.tensors);
    return {};
  }
  // By name as well, so that a damaged library is refused as a library.
  if (std::memcmp(magic, "\177ELF", 4) == 0 || command.file.ends_with(".so")) {
    TENON_ASSIGN(const PluginFile file, read_plugin_file(command.file));
    if (command.json)
      std::puts(plugin_json(file).c_str());
    else
      std::fputs(plugin_text(file).c_str(), stdout);
    return {};
  }
  if (command.file.ends_with(".textproto") || command.file.ends_with(".json"))
    return inspect_manifest(command);
  return Error{.code = Code::kInvalidArgument,
               .id = "TENON-A032",
               .message = "this is nothing that Tenon can look into",
               .where = command.file,
               .expected = "a plugin (.so), a model (GGUF), or a manifest (.textproto, .json)"};
}

}  // namespace

int run_command(const InspectCommand& command) {
  const Status done = inspect(command);
  return done.ok() ? static_cast<int>(kExitOk) : report_error(done.error(), command.json);
}

}  // namespace tenon::app
