// Plain low-rank adapters, y + s B A x with s = alpha / r * strength: wherever the file has a pair
// of factors for a site. r is the number of rows of A; alpha is `lora_alpha` of
// adapter_config.json. Variants that change the formula are refused, not ignored.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/sdk/log.hpp"
#include "tenon/sdk/plugin.hpp"

namespace {

using tenon::sdk::invalid_argument;
using tenon::sdk::LogLine;
using tenon::sdk::Severity;
using tenon::sdk::Status;
using tenon::sdk::text_of;

// What follows `"key":` in a JSON object without nested objects of that key; empty: no such key.
std::string value_after(std::string_view json, const std::string& key) {
  std::size_t at = json.find("\"" + key + "\"");
  if (at == std::string_view::npos) return {};
  at = json.find_first_not_of(": \t\r\n", at + key.size() + 2);
  if (at == std::string_view::npos) return {};
  return std::string(json.substr(at, json.find_first_of(",}\r\n", at) - at));
}

class LowRank {
 public:
  LowRank(const tenon::sdk::Host& host, const tenon::sdk::Params& params)
      : host_(host), strength_(params.get_double("strength")) {}

  Status bind(const tenon_adapter_site* sites, std::uint64_t n_sites) {
    sites_.assign(sites, sites + n_sites);
    return {};
  }

  Status load_slot(std::uint32_t number, const tenon_adapter_source* source) {
    Slot slot{{}, source->read, source->ctx};
    double alpha = 0;
    TENON_SDK_TRY(read_config(text_of(source->config), alpha));
    std::map<std::string_view, std::uint64_t> tensors;
    for (std::uint64_t i = 0; i < source->n_tensors; ++i)
      tensors.emplace(text_of(source->tensors[i].name), i);
    for (const tenon_adapter_site& site : sites_)
      TENON_SDK_TRY(place(site, *source, alpha * strength_, tensors, slot));
    // What no site has asked for would be missing from the result.
    if (!tensors.empty())
      return invalid_argument("tensor \"" + std::string(tensors.begin()->first) +
                              "\" belongs to no linear site of this model, nor do " +
                              std::to_string(tensors.size() - 1) + " others");
    if (slot.places.empty()) return invalid_argument("the file has no factors");
    LogLine(host_, Severity::kDebug)
        << "adapter \"" << text_of(source->name) << "\" changes " << slot.places.size() << " sites";
    slots_[number] = std::move(slot);
    return {};
  }

  Status lower(std::uint32_t number, std::uint32_t site, tenon_lowered* out) {
    *out = {};
    const Slot& slot = slots_.at(number);
    const auto at = slot.places.find(site);
    if (at == slot.places.end()) return {};
    const Place& place = at->second;
    TENON_SDK_TRY(read(slot, place.a, place.rank * place.k, a_));
    TENON_SDK_TRY(read(slot, place.b, place.n * place.rank, b_));
    *out = {static_cast<std::int32_t>(place.rank), 0, place.scale, a_.data(), b_.data()};
    return {};
  }

  void free_slot(std::uint32_t number) { slots_.erase(number); }

 private:
  struct Place {
    std::uint64_t a, b;  // indices of the tensors
    std::int64_t rank, n, k;
    double scale;
  };
  struct Slot {
    std::map<std::uint32_t, Place> places;  // by weight id
    tenon_read_tensor_fn read;
    void* ctx;
  };

  static Status read_config(std::string_view config, double& alpha) {
    for (const char* variant : {"use_dora", "use_rslora"})
      if (value_after(config, variant) == "true")
        return tenon::sdk::unimplemented(std::string(variant) + " is another formula");
    for (const char* pattern : {"rank_pattern", "alpha_pattern"})
      if (const std::string value = value_after(config, pattern);
          !value.empty() && value != "{" && value != "null")
        return tenon::sdk::unimplemented(std::string(pattern) + " is not read");
    const std::string text = value_after(config, "lora_alpha");
    char* end = nullptr;
    alpha = std::strtod(text.c_str(), &end);
    if (text.empty() || end == text.c_str() || !std::isfinite(alpha))
      return invalid_argument("adapter_config.json: lora_alpha is \"" + text +
                              "\", expected a number");
    return {};
  }

  // Finds the factors of a site and takes them out of `tensors`.
  static Status place(const tenon_adapter_site& site, const tenon_adapter_source& source,
                      double alpha, std::map<std::string_view, std::uint64_t>& tensors,
                      Slot& slot) {
    const std::string stem = "base_model.model." + std::string(text_of(site.module));
    const auto a = tensors.find(stem + ".lora_A.weight"), b = tensors.find(stem + ".lora_B.weight");
    if (a == tensors.end() && b == tensors.end()) return {};
    if (a == tensors.end() || b == tensors.end())
      return invalid_argument(stem + " has only one of lora_A.weight and lora_B.weight");
    const tenon_adapter_tensor &ta = source.tensors[a->second], &tb = source.tensors[b->second];
    if (ta.rank != 2 || tb.rank != 2 || ta.k != site.k || tb.n != site.n || ta.n != tb.k ||
        ta.n < 1)
      return invalid_argument(stem + ": A is [" + std::to_string(ta.n) + ", " +
                              std::to_string(ta.k) + "], B is [" + std::to_string(tb.n) + ", " +
                              std::to_string(tb.k) + "]; expected [r, " + std::to_string(site.k) +
                              "] and [" + std::to_string(site.n) + ", r]");
    slot.places[site.id] = {a->second, b->second, ta.n,
                            site.n,    site.k,    alpha / static_cast<double>(ta.n)};
    tensors.erase(a);
    tensors.erase(b);
    return {};
  }

  static Status read(const Slot& slot, std::uint64_t index, std::int64_t values,
                     std::vector<float>& out) {
    out.resize(static_cast<std::size_t>(values));
    if (slot.read(slot.ctx, index, out.data()) != 0) return {};
    return tenon::sdk::unimplemented("a factor has a type that is not read");
  }

  tenon::sdk::Host host_;
  double strength_;
  std::vector<tenon_adapter_site> sites_;  // their names are borrowed until destroy()
  std::map<std::uint32_t, Slot> slots_;
  std::vector<float> a_, b_;  // of the last answer
};

}  // namespace

TENON_PLUGIN(LowRank, TENON_ADAPTER_ID, AdapterTable);
