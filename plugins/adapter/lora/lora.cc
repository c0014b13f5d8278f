// LoRA adapters as PEFT saves them: y = W x + s B A x for the modules that the configuration means,
// s = alpha / r. Everything is known when a slot is loaded; the core computes it.
#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "config.h"
#include "tenon/sdk/plugin.hpp"

namespace {

using tenon::lora::Config;
using tenon::sdk::Status;
using tenon::sdk::text_of;

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kSuffixA = ".lora_A.weight", kSuffixB = ".lora_B.weight";
constexpr std::size_t kNamed = 8;  // names that an error lists

// The first few of a list, and how many more there are.
std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < std::min(names.size(), kNamed); ++i)
    out += (i > 0 ? ", " : "") + names[i];
  if (names.size() > kNamed) out += " and " + std::to_string(names.size() - kNamed) + " more";
  return out;
}

std::string shape_text(std::int64_t n, std::int64_t k) {
  return "[" + std::to_string(n) + ", " + std::to_string(k) + "]";
}

struct Place {  // of one site's factors in the file
  std::uint64_t a = 0, b = 0;
  std::int32_t rank = 0;
  double scale = 0;
};

struct Slot {
  std::map<std::uint32_t, Place> places;  // by weight id
  std::vector<std::string> names;         // of the file's tensors
  tenon_read_tensor_fn read = nullptr;
  void* ctx = nullptr;
};

// Where the tensors are, while a slot is loaded.
class TensorNames {
 public:
  explicit TensorNames(const tenon_adapter_source& source) : source_(source) {
    for (std::uint64_t i = 0; i < source.n_tensors; ++i)
      at_.emplace(text_of(source.tensors[i].name), i);
  }
  // Takes a tensor out, so that what stays is what nobody asked for.
  bool take(const std::string& name, std::uint64_t& index) {
    const auto at = at_.find(name);
    if (at == at_.end()) return false;
    index = at->second;
    at_.erase(at);
    return true;
  }
  const tenon_adapter_tensor& at(std::uint64_t index) const { return source_.tensors[index]; }
  std::vector<std::string> left() const {
    std::vector<std::string> out;
    for (const auto& [name, index] : at_) out.emplace_back(name);
    return out;
  }

 private:
  const tenon_adapter_source& source_;
  std::map<std::string_view, std::uint64_t> at_;
};

class Lora {
 public:
  Lora(const tenon::sdk::Host&, const tenon::sdk::Params&) {}

  Status bind(const tenon_adapter_site* sites, std::uint64_t n_sites) {
    sites_ = sites;
    n_sites_ = n_sites;
    return {};
  }

  Status load_slot(std::uint32_t number, const tenon_adapter_source* source) {
    Config config;
    TENON_SDK_TRY(tenon::lora::parse_config(text_of(source->config), config));
    TensorNames tensors(*source);
    Slot slot;
    std::vector<std::string> missing;
    for (std::uint64_t i = 0; i < n_sites_; ++i)
      if (config.targets.contains(text_of(sites_[i].module)))
        TENON_SDK_TRY(place_site(sites_[i], config, tensors, missing, slot));
    if (slot.places.empty() && missing.empty())
      return tenon::sdk::invalid_argument("target_modules match no module of this model; it has " +
                                          host_modules());
    if (!missing.empty())
      return tenon::sdk::invalid_argument("tensors are missing: " + listed(missing));
    TENON_SDK_TRY(check_left(tensors.left()));
    for (std::uint64_t i = 0; i < source->n_tensors; ++i)
      slot.names.emplace_back(text_of(source->tensors[i].name));
    slot.read = source->read;
    slot.ctx = source->ctx;
    slots_[number] = std::move(slot);
    return {};
  }

  Status lower(std::uint32_t number, std::uint32_t site_id, tenon_lowered* out) {
    *out = {};
    const Slot& slot = slots_.at(number);
    const auto at = slot.places.find(site_id);
    if (at == slot.places.end()) return {};
    const Place& place = at->second;
    const tenon_adapter_site& site = *std::find_if(
        sites_, sites_ + n_sites_, [&](const auto& each) { return each.id == site_id; });
    TENON_SDK_TRY(read(slot, place.a, place.rank * site.k, a_));
    TENON_SDK_TRY(read(slot, place.b, site.n * place.rank, b_));
    *out = {place.rank, 0, place.scale, a_.data(), b_.data()};
    return {};
  }

  void free_slot(std::uint32_t number) { slots_.erase(number); }

 private:
  static Status place_site(const tenon_adapter_site& site, const Config& config,
                           TensorNames& tensors, std::vector<std::string>& missing, Slot& slot) {
    const std::string module(text_of(site.module)), key = std::string(kPrefix) + module;
    const std::string a_name = key + std::string(kSuffixA), b_name = key + std::string(kSuffixB);
    Place place;
    bool found = true;
    if (!tensors.take(a_name, place.a)) missing.push_back(a_name), found = false;
    if (!tensors.take(b_name, place.b)) missing.push_back(b_name), found = false;
    if (!found) return {};
    const std::int64_t rank = config.rank_of(module);
    TENON_SDK_TRY(check_shape(a_name, tensors.at(place.a), rank, site.k, true, config));
    TENON_SDK_TRY(check_shape(b_name, tensors.at(place.b), site.n, rank, false, config));
    place.rank = static_cast<std::int32_t>(rank);
    place.scale = config.scale_of(module);
    slot.places[site.id] = place;
    return {};
  }

  // `rows_are_rank`: A is [rank, k], B is [n, rank]. The other side is the base model's.
  static Status check_shape(const std::string& name, const tenon_adapter_tensor& tensor,
                            std::int64_t n, std::int64_t k, bool rows_are_rank,
                            const Config& config) {
    if (tensor.rank == 2 && tensor.n == n && tensor.k == k) return {};
    const std::string found = tensor.rank == 2 ? shape_text(tensor.n, tensor.k)
                                               : std::to_string(tensor.rank) + " dimensions";
    const bool other_base = tensor.rank == 2 && (rows_are_rank ? tensor.k != k : tensor.n != n);
    std::string why;
    if (other_base)
      why = "; it does not fit this model" +
            (config.base.empty() ? std::string()
                                 : ": its configuration names the base \"" + config.base + "\"");
    else if (tensor.rank == 2)
      why = "; r, rank_pattern and the tensors do not agree";
    return tenon::sdk::invalid_argument("tensor \"" + name + "\" is " + found + "; expected " +
                                        shape_text(n, k) + why);
  }

  // What no module asked for changes the result as well.
  Status check_left(const std::vector<std::string>& left) const {
    if (left.empty()) return {};
    std::vector<std::string> whole, unknown;
    for (const std::string& name : left)
      (name.find(".lora_") == std::string::npos ? whole : unknown).push_back(name);
    if (!whole.empty())
      return tenon::sdk::unimplemented(
          "the file holds whole weights of the base, which are not applied: " + listed(whole) +
          "; save with save_embedding_layers=False and without modules_to_save");
    return tenon::sdk::invalid_argument(
        "tensors belong to no module that the configuration means and this model has: " +
        listed(unknown));
  }

  // The last parts of the module paths, once each.
  std::string host_modules() const {
    std::vector<std::string> names;
    for (std::uint64_t i = 0; i < n_sites_; ++i) {
      const std::string_view module = text_of(sites_[i].module);
      const std::string name(module.substr(module.rfind('.') + 1));
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
    return listed(names);
  }

  static Status read(const Slot& slot, std::uint64_t index, std::int64_t values,
                     std::vector<float>& out) {
    out.resize(static_cast<std::size_t>(values));
    if (slot.read(slot.ctx, index, out.data()) == 0)
      return tenon::sdk::unimplemented("tensor \"" + slot.names[index] +
                                       "\" has a type that is not read; known: F32, F16, BF16");
    if (std::all_of(out.begin(), out.end(), [](float value) { return std::isfinite(value); }))
      return {};
    return tenon::sdk::invalid_argument("tensor \"" + slot.names[index] +
                                        "\" holds a value that is not finite");
  }

  const tenon_adapter_site* sites_ = nullptr;
  std::uint64_t n_sites_ = 0;
  std::map<std::uint32_t, Slot> slots_;
  std::vector<float> a_, b_;  // of the last answer
};

}  // namespace

TENON_PLUGIN(Lora, TENON_ADAPTER_ID, AdapterTable);
