#include "core/adapter/adapter_set.h"

#include <algorithm>
#include <utility>

#include "core/base/suggest.h"

namespace tenon {
namespace {

constexpr std::size_t kLongestName = 256;

Status check_name(const std::string& name) {
  const bool printable = std::all_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && c != 0x7f;
  });
  if (!name.empty() && name.size() <= kLongestName && printable) return {};
  return Error{.code = Code::kInvalidArgument,
               .id = "TENON-D001",
               .message = "not a name for an adapter",
               .where = "adapter",
               .found = "\"" + name.substr(0, kLongestName) + "\"",
               .expected = "1 to 256 bytes without spaces and control characters"};
}

// An error of loading, with the folder in its place. What the plugin says is about the adapter.
Error refusal(Error error, const std::string& folder) {
  if (error.id == "TENON-P900") {
    error.id = "TENON-D013";
    error.where.clear();
  }
  error.where = folder + (error.where.empty() ? "" : ", " + error.where);
  return error;
}

}  // namespace

AdapterUse::AdapterUse(AdapterUse&& other) noexcept
    : set_(std::exchange(other.set_, nullptr)), slot_(std::exchange(other.slot_, nullptr)) {}

AdapterUse& AdapterUse::operator=(AdapterUse&& other) noexcept {
  if (this != &other) {
    release();
    set_ = std::exchange(other.set_, nullptr);
    slot_ = std::exchange(other.slot_, nullptr);
  }
  return *this;
}

void AdapterUse::release() {
  AdapterSlot* slot = std::exchange(slot_, nullptr);
  if (slot != nullptr && --slot->uses == 0 && slot->unloaded) set_->free_slot(slot);
}

AdapterSet::AdapterSet(iface::Adapter plugin, std::vector<SiteShape> sites, const ModelShape* model,
                       std::vector<AdapterRank> ranks)
    : plugin_(plugin),
      sites_(std::move(sites)),
      model_(model),
      ranks_(std::move(ranks)),
      next_weight_(static_cast<std::uint32_t>(model->weights.size())) {
  for (const SiteShape& site : sites_)
    bound_.push_back({site.weight, 0, {site.module.data(), site.module.size()}, site.n, site.k});
}

AdapterSet::~AdapterSet() {
  for (const auto& slot : slots_) give_up(*slot);
}

Status AdapterSet::bind() { return plugin_.bind(bound_.data(), bound_.size()); }

Error AdapterSet::unknown(std::string_view name) const {
  std::vector<std::string> known;
  for (const auto& [loaded, slot] : names_) known.push_back(loaded);
  return {.code = Code::kNotFound,
          .id = "TENON-D003",
          .message = "no adapter of this name is loaded",
          .where = "adapter",
          .found = "\"" + std::string(name) + "\"",
          .fix = known.empty() ? "load one; none is loaded" : suggest_fix(name, known)};
}

Result<const AdapterSlot*> AdapterSet::load(const std::string& name, const std::string& folder) {
  TENON_TRY(check_name(name));
  if (names_.contains(name))
    return Error{.code = Code::kAlreadyExists,
                 .id = "TENON-D002",
                 .message = "an adapter of this name is loaded",
                 .where = "adapter \"" + name + "\"",
                 .found = names_[name]->files.folder(),
                 .fix = "unload it first: requests that run with it are not disturbed"};
  TENON_ASSIGN(AdapterFiles files, AdapterFiles::read(folder));
  auto slot = std::make_unique<AdapterSlot>(std::move(files));
  slot->name = name;
  while (std::any_of(slots_.begin(), slots_.end(),
                     [&](const auto& other) { return other->number == slot->number; }))
    ++slot->number;
  const tenon_adapter_source source = slot->files.source(slot->name);
  if (Status read = plugin_.load_slot(slot->number, &source); !read.ok())
    return refusal(read.take_error(), folder);
  if (Status filled = fill(*slot); !filled.ok()) {
    give_up(*slot);
    return refusal(filled.take_error(), folder);
  }
  slot->files.close_tensors();
  const AdapterSlot* out = slot.get();
  names_[name] = slot.get();
  slots_.push_back(std::move(slot));
  return out;
}

Status AdapterSet::fill(AdapterSlot& slot) {
  std::vector<tenon_low_rank> of_weight(model_->weights.size(), tenon_low_rank{});
  for (std::size_t i = 0; i < sites_.size(); ++i) TENON_TRY(lower_site(slot, i, of_weight));
  if (slot.sites.empty())
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-D016",
                 .message = "the adapter changes no module of this model"};
  for (const LinearGroupShape& group : model_->groups) {
    std::vector<tenon_low_rank> deltas;
    for (const std::uint32_t weight : group.weights) deltas.push_back(of_weight[weight]);
    if (std::all_of(deltas.begin(), deltas.end(),
                    [](const tenon_low_rank& delta) { return delta.rank == 0; }))
      deltas.clear();
    slot.of_group.push_back(std::move(deltas));
  }
  return {};
}

Status AdapterSet::lower_site(AdapterSlot& slot, std::size_t index,
                              std::vector<tenon_low_rank>& of_weight) {
  const SiteShape& site = sites_[index];
  tenon_lowered lowered{};
  TENON_TRY(plugin_.lower(slot.number, site.weight, &lowered));
  if (lowered.rank == 0) return {};
  TENON_ASSIGN(const SiteFactors factors, take_factors(site, lowered));
  const std::uint32_t a = take_weight_id(), b = take_weight_id();
  slot.weights.insert(slot.weights.end(), {a, b});
  TENON_TRY(load_factors(ranks_, index, site, factors, a, b));
  of_weight[site.weight] = {a, b, factors.scale, factors.rank, 0};
  slot.sites.push_back({site.module, lowered.rank, lowered.scale});
  return {};
}

std::uint32_t AdapterSet::take_weight_id() {
  if (free_weights_.empty()) return next_weight_++;
  const std::uint32_t id = free_weights_.back();
  free_weights_.pop_back();
  return id;
}

// What the plugin and the backends hold of a slot.
void AdapterSet::give_up(AdapterSlot& slot) {
  for (const std::uint32_t id : slot.weights) {
    for (const AdapterRank& rank : ranks_) rank.backend.free_weight(id);
    free_weights_.push_back(id);
  }
  slot.weights.clear();
  plugin_.free_slot(slot.number);
}

void AdapterSet::free_slot(AdapterSlot* slot) {
  give_up(*slot);
  std::erase_if(slots_, [slot](const auto& other) { return other.get() == slot; });
}

Status AdapterSet::unload(std::string_view name) {
  const auto at = names_.find(name);
  if (at == names_.end()) return unknown(name);
  AdapterSlot* slot = at->second;
  names_.erase(at);
  slot->unloaded = true;
  if (slot->uses == 0) free_slot(slot);
  return {};
}

Result<AdapterUse> AdapterSet::acquire(std::string_view name) {
  const auto at = names_.find(name);
  if (at == names_.end()) return unknown(name);
  return AdapterUse(this, at->second);
}

std::vector<const AdapterSlot*> AdapterSet::loaded() const {
  std::vector<const AdapterSlot*> out;
  for (const auto& [name, slot] : names_) out.push_back(slot);
  return out;
}

std::size_t AdapterSet::weights() const {
  std::size_t out = 0;
  for (const auto& slot : slots_) out += slot->weights.size();
  return out;
}

}  // namespace tenon
