#include "core/conform/test.h"

#include <exception>

namespace tenon::conform {
namespace {

// A value that a parameter without default can have.
ParamValue any_value(const ParamSpec& spec) {
  switch (spec.type) {
    case ParamType::kBool:
      return false;
    case ParamType::kInt64:
      return spec.min_int.value_or(spec.max_int.value_or(1));
    case ParamType::kDouble:
      return spec.min_double.value_or(spec.max_double.value_or(1));
    case ParamType::kString:
      return std::string("value");
    case ParamType::kEnum:
      return spec.values.empty() ? std::string() : spec.values.front();
  }
  return false;
}

bool has(const std::vector<ManifestParam>& params, const std::string& key) {
  for (const ManifestParam& param : params)
    if (param.key == key) return true;
  return false;
}

}  // namespace

const char* outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kOk:
      return "ok";
    case Outcome::kWarning:
      return "warning";
    case Outcome::kSkipped:
      return "skipped";
    case Outcome::kFailed:
      return "failed";
    case Outcome::kCrashed:
      return "crashed";
  }
  return "?";
}

Result<ResolvedParams> Subject::resolve(const std::vector<ManifestParam>& changed) const {
  std::vector<ManifestParam> all = changed;
  for (const ManifestParam& param : params)
    if (!has(all, param.key)) all.push_back(param);
  for (const ParamSpec& spec : file.descriptor.params)
    if (spec.required && !has(all, spec.key)) all.push_back({spec.key, any_value(spec), "kit"});
  return resolve_params(file.descriptor, all, file.path);
}

std::string_view Test::group() const {
  const std::string_view whole = name;
  return whole.substr(0, whole.find('.'));
}

const std::vector<Test>& tests() {
  static const std::vector<Test> all = [] {
    std::vector<Test> out;
    for (const auto group :
         {static_tests(), load_tests(), contract_tests(), param_tests(), memory_tests(),
          scheduler_tests(), cache_tests(), attention_tests(), adapter_tests(), parallelism_tests(),
          comm_tests(), backend_tests(), pack_tests(), engine_tests()})
      out.insert(out.end(), group.begin(), group.end());
    return out;
  }();
  return all;
}

Finding run_test(const Test& test, const Subject& subject) {
  try {
    return test.run(subject);
  } catch (const std::exception& thrown) {
    return failed(std::string("thrown across the boundary: ") + thrown.what());
  } catch (...) {
    return failed("something that is no std::exception was thrown across the boundary");
  }
}

}  // namespace tenon::conform
