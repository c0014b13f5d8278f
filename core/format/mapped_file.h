// A file in memory, read only, as the readers of model and adapter files see it.
#pragma once

#include <cstddef>
#include <string>

namespace tenon {

struct Mapping {
  void* memory = nullptr;  // null: it could not be mapped; the caller unmaps
  std::size_t bytes = 0;
  std::string why_not;
};

// Maps a regular file that is not empty; others are not opened for good.
Mapping map_file(const std::string& path);

}  // namespace tenon
