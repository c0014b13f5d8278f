// May this file be opened as a plugin? Asked of the path and of who can write to it; what is read
// afterwards comes from the same open file, so that nobody can change it in between.
#pragma once

#include <string>

#include "core/base/error.h"
#include "core/plugin/host_config.h"

namespace tenon {

// The content of a file that may be used.
struct TrustedFile {
  std::string path;  // absolute, without links
  std::string content;
};

// TENON-P001: cannot be read, or is no regular file of at most 1 GiB. P120: outside of the
// operator's plugin directories. P121: belongs to another user. P122: others may write to it.
// P123: others may write to a folder above it. In the profile for development P121 is no more
// than a line of the debug log, and so are P122 for the group and P123.
Result<TrustedFile> read_trusted(const std::string& path, const HostConfig& host);

}  // namespace tenon
