#include "core/plugin/manifest_lock.h"

#include <filesystem>

namespace tenon {

Manifest lock_manifest(const Manifest& manifest, const Assembly& assembly,
                       const std::string& model_sha256, const std::string& folder) {
  namespace fs = std::filesystem;
  Manifest out = manifest;
  const std::vector<ManifestRole*> roles = manifest_roles(out);
  for (std::size_t i = 0; i < roles.size(); ++i) {
    const PluginFile& file = *assembly.chosen[i].file;
    roles[i]->version = file.descriptor.version;
    if (!file.path.empty())
      roles[i]->library =
          ManifestLibrary{fs::absolute(file.path).lexically_normal().string(), file.sha256};
  }
  if (!model_sha256.empty()) out.model.sha256 = model_sha256;
  const auto canonical = [](const fs::path& path) {
    return fs::weakly_canonical(fs::absolute(path));
  };
  if (canonical(folder) == canonical(fs::absolute(manifest.source).parent_path())) return out;
  const auto move = [&](std::string& path) {
    path = fs::absolute(manifest_path(manifest, path)).lexically_normal().string();
  };
  if (!out.model.file.empty()) move(out.model.file);
  for (ManifestAdapter& adapter : out.adapters) move(adapter.path);
  return out;
}

}  // namespace tenon
