#include "core/plugin/descriptor_wire.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/text_format.h>

#include "sdk/abi/descriptor.pb.h"

namespace tenon::descriptor_wire {
namespace {

namespace v1 = plugin::v1;
namespace pb = google::protobuf;

class FirstProblem : public pb::io::ErrorCollector {
 public:
  explicit FirstProblem(std::string& problem) : problem_(problem) {}
  void AddError(int line, int column, const std::string& message) override {
    if (problem_.empty())
      problem_ = std::to_string(line + 1) + ":" + std::to_string(column + 1) + ": " + message;
  }
  void AddWarning(int, int, const std::string&) override {}

 private:
  std::string& problem_;
};

std::vector<std::string> list(const pb::RepeatedPtrField<std::string>& from) {
  return {from.begin(), from.end()};
}

std::optional<ParamValue> default_of(const v1::ParamSpec& from) {
  switch (from.default_value_case()) {
    case v1::ParamSpec::kDefaultBool:
      return ParamValue(from.default_bool());
    case v1::ParamSpec::kDefaultInt:
      return ParamValue(static_cast<std::int64_t>(from.default_int()));
    case v1::ParamSpec::kDefaultDouble:
      return ParamValue(from.default_double());
    case v1::ParamSpec::kDefaultString:
      return ParamValue(from.default_string());
    case v1::ParamSpec::DEFAULT_VALUE_NOT_SET:
      break;
  }
  return std::nullopt;
}

std::vector<Wish> wishes(const pb::RepeatedPtrField<v1::Descriptor_Wish>& from) {
  std::vector<Wish> out;
  for (const v1::Descriptor_Wish& wish : from) out.push_back({wish.claim(), wish.reason()});
  return out;
}

ParamSpec convert(const v1::ParamSpec& from) {
  ParamSpec out;
  out.key = from.key();
  out.type = static_cast<ParamType>(from.type());
  out.default_value = default_of(from);
  out.required = from.required();
  if (from.has_min_int()) out.min_int = from.min_int();
  if (from.has_max_int()) out.max_int = from.max_int();
  if (from.has_min_double()) out.min_double = from.min_double();
  if (from.has_max_double()) out.max_double = from.max_double();
  out.values = list(from.values());
  out.unit = from.unit();
  out.doc = from.doc();
  return out;
}

PluginDescriptor convert(const v1::Descriptor& from) {
  PluginDescriptor out;
  out.id = from.id();
  out.kind = from.kind();
  out.version = from.version();
  out.title = from.title();
  out.license = from.license();
  out.paper_title = from.paper().title();
  out.paper_reference = from.paper().reference();
  out.abi_epoch = from.abi_epoch();
  out.interfaces = list(from.interfaces());
  out.services = list(from.services());
  out.provided = list(from.provides());
  out.required = list(from.requires());
  out.conflicts = list(from.conflicts());
  out.prefers = wishes(from.prefers());
  out.avoids = wishes(from.avoids());
  out.numerics = static_cast<Numerics>(from.numerics());
  out.oracle = from.oracle();
  out.affects_kv = from.affects_kv();
  for (const v1::ParamSpec& param : from.params()) out.params.push_back(convert(param));
  for (const v1::Descriptor_Rule& rule : from.rules())
    out.rules.push_back({rule.when(), rule.refuse()});
  return out;
}

}  // namespace

bool decode(std::string_view bytes, PluginDescriptor& out) {
  const pb::LogSilencer quiet;
  v1::Descriptor message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
  out = convert(message);
  return true;
}

bool decode_text(std::string_view text, PluginDescriptor& out, std::string& problem) {
  v1::Descriptor message;
  FirstProblem first(problem);
  pb::TextFormat::Parser parser;
  parser.RecordErrorsTo(&first);
  if (!parser.ParseFromString(std::string(text), &message)) return false;
  out = convert(message);
  return true;
}

}  // namespace tenon::descriptor_wire
