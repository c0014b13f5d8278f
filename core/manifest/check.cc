#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "core/manifest/checks.h"
#include "core/manifest/version.h"

namespace tenon::manifest_checks {
namespace {

constexpr std::int64_t kMaxTokens = 1 << 24;

// Bounds are inclusive.
struct IntRange {
  const char* field;
  std::int64_t ManifestEngine::*member;
  std::int64_t min, max;
  const char* unit;
};
constexpr std::array kEngineInts = {
    IntRange{"threads", &ManifestEngine::threads, 0, 1024, "threads"},
    IntRange{"stripes_per_thread", &ManifestEngine::stripes_per_thread, 0, 64, "stripes"},
    IntRange{"context", &ManifestEngine::context, 0, kMaxTokens, "tokens"},
    IntRange{"kv_bytes", &ManifestEngine::kv_bytes, 0, std::int64_t{1} << 50, "bytes"},
    IntRange{"kv_pages", &ManifestEngine::kv_pages, 0, 0x7fffffff, "pages"},
    IntRange{"ranks", &ManifestEngine::ranks, 1, 64, "ranks"},
};

template <class T>
struct SamplingRange {
  const char* field;
  std::optional<T> ManifestSampling::*member;
  T min, max;
};
constexpr std::array kSamplingInts = {
    SamplingRange<std::int64_t>{"top_k", &ManifestSampling::top_k, 0, 1000000},
    SamplingRange<std::int64_t>{"max_tokens", &ManifestSampling::max_tokens, 1, kMaxTokens},
};
constexpr std::array kSamplingDoubles = {
    SamplingRange<double>{"temperature", &ManifestSampling::temperature, 0, 10},
    SamplingRange<double>{"top_p", &ManifestSampling::top_p, 0, 1},
    SamplingRange<double>{"min_p", &ManifestSampling::min_p, 0, 1},
    SamplingRange<double>{"repetition_penalty", &ManifestSampling::repetition_penalty, 0.01, 10},
    SamplingRange<double>{"presence_penalty", &ManifestSampling::presence_penalty, -2, 2},
    SamplingRange<double>{"frequency_penalty", &ManifestSampling::frequency_penalty, -2, 2},
};

// Written so that a NaN is outside of every range.
template <class T>
Status in_range(const PlaceOf& place_of, const std::string& field, T value, T min, T max) {
  if (value >= min && value <= max) return {};
  return Error{.code = Code::kOutOfRange,
               .id = "TENON-M008",
               .message = field + " is out of range",
               .where = place_of(field),
               .found = param_value_text(value),
               .expected = param_value_text(min) + " .. " + param_value_text(max)};
}

Status check_engine(const ManifestEngine& engine, const PlaceOf& place_of) {
  for (const IntRange& range : kEngineInts)
    TENON_TRY(in_range(place_of, std::string("engine.") + range.field, engine.*range.member,
                       range.min, range.max));
  if (engine.kv_bytes != 0 && engine.kv_pages != 0)
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-M014",
                 .message = "engine.kv_bytes and engine.kv_pages both size the KV pool",
                 .where = place_of("engine.kv_pages"),
                 .fix = "keep one of the two"};
  return in_range<std::int64_t>(place_of, "engine.cache_salt",
                                static_cast<std::int64_t>(engine.cache_salt.size()), 0, 256);
}

template <class T, std::size_t N>
Status check_sampling(const ManifestSampling& sampling,
                      const std::array<SamplingRange<T>, N>& ranges, const PlaceOf& place_of) {
  for (const SamplingRange<T>& range : ranges)
    if (const std::optional<T>& value = sampling.*range.member)
      TENON_TRY(in_range<T>(place_of, std::string("sampling.") + range.field, *value, range.min,
                            range.max));
  return {};
}

Status check_sha256(const std::string& digest, const std::string& where) {
  const bool hex = std::all_of(digest.begin(), digest.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  if (digest.empty() || (digest.size() == 64 && hex)) return {};
  return Error{.code = Code::kInvalidArgument,
               .id = "TENON-M011",
               .message = "sha256 is not a SHA-256",
               .where = where,
               .found = std::to_string(digest.size()) + " characters",
               .expected = "64 hexadecimal digits, as sha256sum prints them"};
}

Status check_param(const ManifestParam& param) {
  if (param.key.empty())
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-M010",
                 .message = "a param has no key",
                 .where = param.where,
                 .expected = "param { key: \"name\" i: 1 }"};
  const double* number = std::get_if<double>(&param.value);
  if (number != nullptr && !std::isfinite(*number))
    return Error{.code = Code::kOutOfRange,
                 .id = "TENON-M008",
                 .message = "parameter \"" + param.key + "\" is not a finite number",
                 .where = param.where,
                 .found = param_value_text(param.value)};
  return {};
}

Status check_role(const ManifestRole& role) {
  if (role.plugin.empty())
    return Error{
        .code = Code::kInvalidArgument,
        .id = "TENON-M006",
        .message = "role " + role.role + " names no plugin",
        .where = role.where,
        .fix = "write " + role.role + " { plugin: \"...\" }; `tenon plugin list` shows them"};
  if (!parse_version_range(role.version))
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-M012",
                 .message = "version of role " + role.role + " is no range",
                 .where = role.where,
                 .found = role.version,
                 .expected = "\"1.2.3\", \"1.2\" or comparisons such as \">=1.2 <2\""};
  if (role.library) {
    if (role.library->path.empty())
      return Error{.code = Code::kInvalidArgument,
                   .id = "TENON-M013",
                   .message = "library of role " + role.role + " has no path",
                   .where = role.where};
    TENON_TRY(check_sha256(role.library->sha256, role.where));
  }
  std::set<std::string_view> keys;
  for (const ManifestParam& param : role.params) {
    TENON_TRY(check_param(param));
    if (!keys.insert(param.key).second)
      return Error{.code = Code::kInvalidArgument,
                   .id = "TENON-M009",
                   .message = "parameter \"" + param.key + "\" is given twice",
                   .where = param.where,
                   .fix = "keep one"};
  }
  return {};
}

Status check_model(const ManifestModel& model) {
  if (model.file.empty() && model.name.empty())
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-M007",
                 .message = "no model is named",
                 .where = model.where,
                 .fix = "write model { name: \"...\" } or model { file: \"model.gguf\" }"};
  return check_sha256(model.sha256, model.where);
}

Status check_adapters(const Manifest& manifest) {
  std::set<std::string_view> names;
  for (const ManifestAdapter& adapter : manifest.adapters) {
    const auto bad = [&](std::string message, std::string fix) {
      return Error{.code = Code::kInvalidArgument,
                   .id = "TENON-M015",
                   .message = std::move(message),
                   .where = adapter.where,
                   .expected = "adapters { name: \"...\" path: \"folder\" }",
                   .fix = std::move(fix)};
    };
    if (adapter.name.empty() || adapter.path.empty())
      return bad("an adapter has no name or no path", "give both");
    if (!names.insert(adapter.name).second)
      return bad("adapter \"" + adapter.name + "\" is given twice", "keep one");
    if (!manifest.adapter)
      return bad("adapters are named, but no plugin that applies them",
                 "write adapter { plugin: \"tenon.adapter.lora\" }");
  }
  return {};
}

Status check_ranks(const Manifest& manifest) {
  if ((manifest.engine.ranks > 1) == manifest.tp.has_value() &&
      manifest.tp.has_value() == manifest.comm.has_value())
    return {};
  return Error{.code = Code::kInvalidArgument,
               .id = "TENON-M016",
               .message = "engine.ranks, tp and comm belong together",
               .where = manifest.tp     ? manifest.tp->where
                        : manifest.comm ? manifest.comm->where
                                        : manifest.source,
               .found = std::to_string(manifest.engine.ranks) + " ranks, " +
                        (manifest.tp ? "a" : "no") + " plugin for tp, " +
                        (manifest.comm ? "a" : "no") + " plugin for comm",
               .expected = "more than one rank and both plugins, or none of them"};
}

}  // namespace

Status check_manifest(const Manifest& manifest, const PlaceOf& place_of) {
  TENON_TRY(check_model(manifest.model));
  for (const ManifestRole* role : manifest_roles(manifest)) TENON_TRY(check_role(*role));
  TENON_TRY(check_adapters(manifest));
  TENON_TRY(check_ranks(manifest));
  TENON_TRY(check_engine(manifest.engine, place_of));
  TENON_TRY(check_sampling(manifest.sampling, kSamplingInts, place_of));
  return check_sampling(manifest.sampling, kSamplingDoubles, place_of);
}

}  // namespace tenon::manifest_checks
