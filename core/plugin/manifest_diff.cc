#include "core/plugin/manifest_diff.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

namespace tenon {
namespace {

// Values by name, in an order that reads well.
class Facts {
 public:
  void add(const std::string& what, const std::string& value) {
    if (values_.emplace(what, value).second) order_.push_back(what);
  }
  const std::vector<std::string>& order() const { return order_; }
  std::string at(const std::string& what) const {
    const auto found = values_.find(what);
    return found == values_.end() ? "" : found->second;
  }

 private:
  std::vector<std::string> order_;
  std::map<std::string, std::string> values_;
};

constexpr std::string_view kDefault = " (default)", kLibrary = " library";

// Whether a value was written or is the default makes no difference.
std::string bare(std::string value) {
  if (value.ends_with(kDefault)) value.resize(value.size() - kDefault.size());
  return value;
}

bool given(const ManifestRole& role, const std::string& key) {
  return std::any_of(role.params.begin(), role.params.end(),
                     [&](const ManifestParam& param) { return param.key == key; });
}

void add_plugin(Facts& facts, const std::string& name, const ChosenPlugin& plugin,
                const ManifestRole& role) {
  const PluginDescriptor& descriptor = plugin.file->descriptor;
  facts.add(name, descriptor.id + " " + descriptor.version);
  facts.add(name + std::string(kLibrary), plugin.file->sha256);
  for (const ResolvedParam& param : plugin.params.values())
    facts.add(name + " param " + param.key,
              param_value_text(param.value) + std::string(given(role, param.key) ? "" : kDefault));
}

// The core's own fields, from the canonical text: a line each, in blocks of one depth.
void add_fields(Facts& facts, const Manifest& manifest) {
  static const std::set<std::string> blocks = {"model", "engine", "sampling"};
  const std::string text = canonical_text(manifest);
  std::string block;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.ends_with(" {") && line.front() != ' ') {
      block = line.substr(0, line.size() - 2);
    } else if (const std::size_t colon = line.find(": ");
               colon != std::string::npos && blocks.contains(block)) {
      facts.add(block + " " + line.substr(2, colon - 2), line.substr(colon + 2));
    }
  }
}

Facts facts_of(const Manifest& manifest, const Assembly& assembly) {
  Facts facts;
  const std::vector<const ManifestRole*> roles = manifest_roles(manifest);
  std::size_t caches = 0;
  for (std::size_t i = 0; i < roles.size(); ++i) {
    std::string name = roles[i]->role;
    if (name == "cache") name += " " + std::to_string(++caches);
    add_plugin(facts, name, assembly.chosen[i], *roles[i]);
  }
  // Where a path leads, not how it is written. Before the fields: the first to say a thing is
  // heard.
  const auto place = [&](const std::string& path) {
    return std::filesystem::absolute(manifest_path(manifest, path)).lexically_normal().string();
  };
  if (!manifest.model.file.empty()) facts.add("model file", place(manifest.model.file));
  add_fields(facts, manifest);
  for (const ManifestAdapter& adapter : manifest.adapters)
    facts.add("adapter " + adapter.name, place(adapter.path));
  return facts;
}

}  // namespace

std::vector<ManifestDifference> diff_manifests(const Manifest& a, const Assembly& in_a,
                                               const Manifest& b, const Assembly& in_b) {
  const Facts left = facts_of(a, in_a), right = facts_of(b, in_b);
  std::vector<std::string> order = left.order();
  for (const std::string& what : right.order())
    if (std::find(order.begin(), order.end(), what) == order.end()) order.push_back(what);
  // Another plugin or version is another library: that goes without saying.
  const auto follows = [&](const std::string& what) {
    if (!what.ends_with(kLibrary)) return false;
    const std::string plugin = what.substr(0, what.size() - kLibrary.size());
    return left.at(plugin) != right.at(plugin);
  };
  std::vector<ManifestDifference> out;
  for (const std::string& what : order)
    if (bare(left.at(what)) != bare(right.at(what)) && !follows(what))
      out.push_back({what, left.at(what), right.at(what)});
  return out;
}

std::string difference_text(const ManifestDifference& difference, const std::string& name_a,
                            const std::string& name_b) {
  if (difference.b.empty()) return difference.what + ": " + difference.a + ", only in " + name_a;
  if (difference.a.empty()) return difference.what + ": " + difference.b + ", only in " + name_b;
  return difference.what + ": " + difference.a + " in " + name_a + ", " + difference.b + " in " +
         name_b;
}

}  // namespace tenon
