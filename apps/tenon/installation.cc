#include "apps/tenon/installation.h"

#include <filesystem>

namespace fs = std::filesystem;

namespace tenon::app {

Installation find_installation() {
  std::error_code error;
  const fs::path root = fs::read_symlink("/proc/self/exe", error).parent_path().parent_path();
  // Without links, so that messages show the folder that holds the files.
  const auto folder = [&](const char* relative) {
    return fs::weakly_canonical(root / relative, error).string();
  };
  return {folder("lib/tenon/plugins"), folder("share/tenon/template")};
}

}  // namespace tenon::app
