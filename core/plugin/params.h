// Parameters of one instance: what the manifest gives, checked against the descriptor and completed
// with its defaults, in the form in which they cross the boundary.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/base/hash.h"
#include "core/manifest/manifest.h"
#include "core/plugin/descriptor.h"
#include "tenon/abi/plugin.h"

namespace tenon {

struct ResolvedParam {
  std::string key;
  ParamType type;
  ParamValue value;
};

// Owns the strings that its table points to, so it moves but is not copied.
class ResolvedParams {
 public:
  ResolvedParams() = default;
  explicit ResolvedParams(std::vector<ResolvedParam> values);
  ResolvedParams(ResolvedParams&&) = default;
  ResolvedParams& operator=(ResolvedParams&&) = default;

  std::span<const tenon_param> table() const { return table_; }  // in the descriptor's order
  const std::vector<ResolvedParam>& values() const { return values_; }
  const ParamValue* find(std::string_view key) const;
  // One line a parameter, `key: value`, in the descriptor's order.
  std::string canonical_text() const;
  Hash128 hash() const { return hash_text(canonical_text()); }

 private:
  std::vector<ResolvedParam> values_;
  std::vector<tenon_param> table_;
};

// TENON-P010: unknown key; P011: wrong type; P012: out of range; P013: no such value of an enum;
// P014: missing; P060: together against a rule of the plugin. `where` is the place of the role, for
// what is missing.
Result<ResolvedParams> resolve_params(const PluginDescriptor& descriptor,
                                      const std::vector<ManifestParam>& given,
                                      const std::string& where = "");

}  // namespace tenon
