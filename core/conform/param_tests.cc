// Parameters: what the descriptor promises is what create() takes.
#include <algorithm>

#include "core/conform/random_params.h"
#include "core/conform/raw_create.h"

namespace tenon::conform {
namespace {

// Makes an instance with these parameters. A combination that the host refuses by a rule of the
// descriptor is no fault of create().
Finding accepts(const Subject& s, const std::vector<ManifestParam>& params) {
  if (!s.resolve(params).ok()) return passed();
  const auto rig = Rig::open(s, {.params = params});
  if (rig.ok()) return passed();
  return failed("the descriptor allows " + params_text(params) +
                "; create() says: " + rig.error().to_string());
}

Finding defaults(const Subject& s) {
  const auto rig = Rig::open(s);
  return rig.ok() ? passed() : Finding(rig.error());
}

std::vector<ParamValue> bounds_of(const ParamSpec& spec) {
  std::vector<ParamValue> out;
  if (spec.min_int) out.emplace_back(*spec.min_int);
  if (spec.max_int) out.emplace_back(*spec.max_int);
  if (spec.min_double) out.emplace_back(*spec.min_double);
  if (spec.max_double) out.emplace_back(*spec.max_double);
  if (spec.type == ParamType::kBool) out = {ParamValue(true), ParamValue(false)};
  return out;
}

Finding bounds(const Subject& s) {
  for (const ParamSpec& spec : s.descriptor().params)
    for (const ParamValue& value : bounds_of(spec))
      if (Finding f = accepts(s, {{spec.key, value, "kit"}}); f.outcome != Outcome::kOk) return f;
  return passed();
}

Finding values_of_enums(const Subject& s) {
  for (const ParamSpec& spec : s.descriptor().params)
    if (spec.type == ParamType::kEnum)
      for (const std::string& value : spec.values)
        if (Finding f = accepts(s, {{spec.key, value, "kit"}}); f.outcome != Outcome::kOk) {
          // What a machine cannot do may be refused, in words.
          if (f.text.find("TENON-P900") != std::string::npos) return warned(f.text);
          return f;
        }
  return passed();
}

Finding random_sets(const Subject& s) {
  if (s.descriptor().params.empty()) return skipped("no parameters");
  std::mt19937_64 random(s.seed);
  int refused = 0, tried = 0;
  Finding last;
  for (int i = 0; i < 50 * s.effort; ++i) {
    ++tried;
    if (Finding f = accepts(s, random_params(s.descriptor(), random)); f.outcome != Outcome::kOk) {
      ++refused;
      last = std::move(f);
    }
  }
  if (refused == 0) return passed();
  return failed(
      std::to_string(refused) + " of " + std::to_string(tried) +
      " random sets are refused; write the rule into the descriptor. The last: " + last.text);
}

// A host checks types; a plugin that is given another one all the same says so.
Finding wrong_type(const Subject& s) {
  TENON_ASSIGN(RawHost r, RawHost::open(s));
  for (std::size_t i = 0; i < r.params.table().size(); ++i) {
    RawCreate made(r.rig->host(), s.descriptor().id, r.params);
    made.params[i].type = made.params[i].type == TENON_PARAM_TYPE_BOOL ? TENON_PARAM_TYPE_INT64
                                                                       : TENON_PARAM_TYPE_BOOL;
    made.params[i].value.i = 1;
    made.call(r.table);
    if (Finding f = check_outcome(made, r.table); f.outcome != Outcome::kOk) return f;
  }
  return r.params.table().empty() ? skipped("no parameters") : passed();
}

Finding missing(const Subject& s) {
  TENON_ASSIGN(RawHost r, RawHost::open(s));
  RawCreate made(r.rig->host(), s.descriptor().id, r.params);
  made.params.clear();
  made.call(r.table);
  return check_outcome(made, r.table);
}

// By key, not by place: a newer host may give more, in another order.
Finding by_key(const Subject& s) {
  TENON_ASSIGN(RawHost r, RawHost::open(s));
  RawCreate made(r.rig->host(), s.descriptor().id, r.params);
  const tenon_param more{{"kit_unknown", 11}, TENON_PARAM_TYPE_INT64, 0, {.i = 7}};
  std::reverse(made.params.begin(), made.params.end());
  made.params.insert(made.params.begin(), more);
  made.call(r.table);
  if (made.status != TENON_OK)
    return failed("create() minds the order of parameters or one that it does not know: " +
                  made.message);
  return check_outcome(made, r.table);
}

// The parameters are borrowed: what is read later is poison.
Finding borrowed(const Subject& s) {
  TENON_ASSIGN(RawHost r, RawHost::open(s));
  RawCreate made(r.rig->host(), s.descriptor().id, r.params);
  std::vector<std::string> texts;
  texts.reserve(made.params.size());
  for (tenon_param& param : made.params)
    if (param.type == TENON_PARAM_TYPE_STRING) {
      texts.emplace_back(param.value.s.ptr, param.value.s.len);
      param.value.s = {texts.back().data(), texts.back().size()};
    }
  made.call(r.table);
  if (made.status != TENON_OK) return failed(made.message);
  std::fill_n(reinterpret_cast<char*>(made.params.data()), made.params.size() * sizeof(tenon_param),
              '\xdb');
  for (std::string& text : texts) std::fill(text.begin(), text.end(), '\xdb');
  const void* table =
      r.table->get_interface(made.instance, ("tenon." + s.descriptor().kind + "/1").c_str());
  r.table->destroy(made.instance);
  return table != nullptr ? passed() : failed("get_interface() reads parameters after create()");
}

constexpr Test kTests[] = {
    {"params.defaults", "Defaults make an instance.", nullptr, defaults},
    {"params.bounds", "Each bound of each parameter is accepted.", nullptr, bounds},
    {"params.enums", "Each value of each enum is accepted.", nullptr, values_of_enums},
    {"params.random", "Random sets within the ranges are accepted.", nullptr, random_sets},
    {"params.wrong-type", "A value of another type is refused with a message.", nullptr,
     wrong_type},
    {"params.missing", "Missing parameters are refused with a message.", nullptr, missing},
    {"params.by-key", "Parameters are found by key, and unknown ones ignored.", nullptr, by_key},
    {"params.borrowed", "Parameters are not read after create().", nullptr, borrowed},
};

}  // namespace

std::span<const Test> param_tests() { return kTests; }

}  // namespace tenon::conform
