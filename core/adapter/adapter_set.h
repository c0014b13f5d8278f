// The adapters of an engine: loaded from folders under names, lowered by the adapter plugin to
// factors in the backends, counted while requests use them.
//
// A name is resolved once, when a request arrives; from then on the request holds the slot. So a
// name can be given up and given to another version while requests still run with the old one.
// Thread: the engine's; between steps, or from a request's callback.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/adapter/adapter_files.h"
#include "core/adapter/lowering.h"
#include "core/base/error.h"
#include "core/iface/tables.h"
#include "core/ops/model_shape.h"

namespace tenon {

struct AdaptedSite {
  std::string module;
  std::int32_t rank = 0;
  double scale = 0;
};

// One loaded adapter. Stays where it is while anyone uses it.
struct AdapterSlot {
  std::uint32_t number = 0;  // small; used again after the slot is free
  std::string name;
  AdapterFiles files;
  std::vector<AdaptedSite> sites;
  std::vector<std::uint32_t> weights;  // ids of its factors
  // Per linear group one entry a weight; empty: the group stays as it is.
  std::vector<std::vector<tenon_low_rank>> of_group;
  std::uint32_t uses = 0;
  bool unloaded = false;  // goes with its last use

  explicit AdapterSlot(AdapterFiles read) : files(std::move(read)) {}
};

class AdapterSet;

// A request's hold on a slot. The set outlives it.
class AdapterUse {
 public:
  AdapterUse() = default;
  AdapterUse(AdapterUse&& other) noexcept;
  AdapterUse& operator=(AdapterUse&& other) noexcept;
  ~AdapterUse() { release(); }
  const AdapterSlot* slot() const { return slot_; }  // null: the model as it is

 private:
  friend class AdapterSet;
  AdapterUse(AdapterSet* set, AdapterSlot* slot) : set_(set), slot_(slot) { ++slot->uses; }
  void release();

  AdapterSet* set_ = nullptr;
  AdapterSlot* slot_ = nullptr;
};

class AdapterSet {
 public:
  // `sites`: where the model can be changed. `model` outlives the set: its weights, whose ids
  // factors come after, and its groups. Every rank has weights and groups of the same ids.
  AdapterSet(iface::Adapter plugin, std::vector<SiteShape> sites, const ModelShape* model,
             std::vector<AdapterRank> ranks);
  ~AdapterSet();
  AdapterSet(const AdapterSet&) = delete;
  AdapterSet& operator=(const AdapterSet&) = delete;

  // Tells the plugin the model's sites. Once, before anything else.
  Status bind();

  // Reads a folder and makes it ready under a name. Nothing is left behind on failure. TENON-D001 a
  // name that is none, D002 one that is taken, D013 the plugin refuses the adapter, D016 it changes
  // nothing, and the errors of adapter_files.h and lowering.h.
  Result<const AdapterSlot*> load(const std::string& name, const std::string& folder);
  // From now on nobody gets this name; its slot goes when no request uses it. D003: unknown.
  Status unload(std::string_view name);
  // For a request. D003 with the nearest name.
  Result<AdapterUse> acquire(std::string_view name);

  // By name; those that have been unloaded and are still in use are not among them.
  std::vector<const AdapterSlot*> loaded() const;
  std::size_t slots() const { return slots_.size(); }  // all that hold weights
  std::size_t weights() const;                         // ids in use

 private:
  friend class AdapterUse;
  Error unknown(std::string_view name) const;
  Status fill(AdapterSlot& slot);
  Status lower_site(AdapterSlot& slot, std::size_t index, std::vector<tenon_low_rank>& of_weight);
  std::uint32_t take_weight_id();
  void free_slot(AdapterSlot* slot);
  void give_up(AdapterSlot& slot);

  iface::Adapter plugin_;
  std::vector<SiteShape> sites_;
  std::vector<tenon_adapter_site> bound_;  // the same as the plugin has them; borrowed for ever
  const ModelShape* model_;
  std::vector<AdapterRank> ranks_;
  std::uint32_t next_weight_;
  std::vector<std::uint32_t> free_weights_;
  std::vector<std::unique_ptr<AdapterSlot>> slots_;
  std::map<std::string, AdapterSlot*, std::less<>> names_;
};

}  // namespace tenon
