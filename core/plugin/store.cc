#include "core/plugin/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/plugin/trust.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;

Error cannot_write(const std::string& path) {
  return Error{.code = Code::kFailedPrecondition,
               .id = "TENON-P131",
               .message = "the store of plugins cannot be written",
               .where = path,
               .found = std::strerror(errno),
               .fix =
                   "make the folder writable, or name another: TENON_STATE_DIR, or `store` in "
                   "the host configuration"};
}

Status make_private(const std::string& directory) {
  std::error_code failed;
  fs::create_directories(fs::path(directory).parent_path(), failed);
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return cannot_write(directory);
  struct stat of {};
  if (::lstat(directory.c_str(), &of) != 0) return cannot_write(directory);
  if (!S_ISDIR(of.st_mode) || of.st_uid != ::geteuid() || (of.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return Error{.code = Code::kPermissionDenied,
                 .id = "TENON-P132",
                 .message = "the store of plugins is not this user's alone",
                 .where = directory,
                 .expected = "a folder of this user that nobody else may write to",
                 .fix =
                     "chmod 700 it, or name another: TENON_STATE_DIR, or `store` in the host "
                     "configuration"};
  return {};
}

Status write_file(const std::string& path, std::string_view content) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
  if (fd < 0) return cannot_write(path);
  bool good = true;
  for (std::size_t at = 0; good && at < content.size();) {
    const ssize_t n = ::write(fd, content.data() + at, content.size() - at);
    if (n < 0 && errno == EINTR) continue;
    good = n > 0;
    at += good ? static_cast<std::size_t>(n) : 0;
  }
  good = ::close(fd) == 0 && good;
  if (good) return {};
  Error error = cannot_write(path);
  ::unlink(path.c_str());
  return error;
}

std::string sha256_of(const TrustedFile& file) {
  return sha256_hex(std::as_bytes(std::span(file.content.data(), file.content.size())));
}

// The copy's path without links, where it is there and whole. A folder above it that others may
// write to is refused like one above a library: they could put theirs in its place.
Result<std::optional<std::string>> kept_copy(const std::string& path, const std::string& sha256,
                                             HostConfig host) {
  std::error_code failed;
  if (!fs::exists(path, failed)) return std::optional<std::string>();
  host.plugin_directories.clear();
  TENON_ASSIGN(const TrustedFile copy, read_trusted(path, host));
  if (sha256_of(copy) == sha256) return std::optional(copy.path);
  log(Severity::kWarning, "plugin", path + " is damaged and will be made again");
  return std::optional<std::string>();
}

Status make_copy(const PluginFile& file, const HostConfig& host, const std::string& path) {
  TENON_ASSIGN(const TrustedFile read, read_trusted(file.path, host));
  if (sha256_of(read) != file.sha256)
    return Error{.code = Code::kFailedPrecondition,
                 .id = "TENON-P044",
                 .message = "the library has changed since it was read",
                 .where = file.path,
                 .expected = "sha256 " + file.sha256,
                 .fix = "start the program again"};
  // Two processes may come here at once: each writes a file of its own, and either rename is good.
  const std::string fresh = path + "." + std::to_string(::getpid());
  ::unlink(fresh.c_str());
  TENON_TRY(write_file(fresh, read.content));
  if (::rename(fresh.c_str(), path.c_str()) != 0) return cannot_write(path);
  return {};
}

}  // namespace

Result<std::string> store_library(const PluginFile& file) {
  const HostConfig host = file.host != nullptr ? *file.host : HostConfig();
  std::string store = host.store;
  if (store.empty()) {
    TENON_ASSIGN(store, default_store());
  }
  TENON_TRY(make_private(store));
  const std::string folder = store + "/" + file.sha256;
  TENON_TRY(make_private(folder));
  const std::string path = folder + "/" + fs::path(file.path).filename().string();
  TENON_ASSIGN(std::optional<std::string> kept, kept_copy(path, file.sha256, host));
  if (!kept) {
    TENON_TRY(make_copy(file, host, path));
    TENON_ASSIGN(kept, kept_copy(path, file.sha256, host));
  }
  if (!kept) return cannot_write(path);
  return std::move(*kept);
}

}  // namespace tenon
