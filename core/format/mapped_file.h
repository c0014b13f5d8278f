// A file in memory, read only, as the readers of model and adapter files see it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

struct stat;

namespace tenon {

// What changes when a file is written to or replaced. Times are nanoseconds; `changed` cannot be
// set by a program, `modified` can.
struct FileStamp {
  std::uint64_t bytes = 0, inode = 0, device = 0;
  std::int64_t modified = 0, changed = 0;
  std::uint64_t owner = 0;
  bool operator==(const FileStamp&) const = default;
};

struct Mapping {
  void* memory = nullptr;  // null: it could not be mapped; the caller unmaps
  std::size_t bytes = 0;
  FileStamp stamp;
  std::string why_not;
};

FileStamp stamp_of(const struct stat& info);

// Maps a regular file that is not empty; others are not opened for good.
Mapping map_file(const std::string& path);

}  // namespace tenon
