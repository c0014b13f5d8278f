#include "core/plugin/trust.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/base/log.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;

constexpr off_t kMaxBytes = off_t{1} << 30;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  void reset(int fd) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_;
};

Error unreadable(const std::string& path, std::string found) {
  return Error{.code = Code::kNotFound,
               .id = "TENON-P001",
               .message = "cannot read the plugin library",
               .where = path,
               .found = std::move(found),
               .expected = "a regular file of at most 1 GiB",
               .fix = "name a library that is there and that this user may read"};
}

Error untrusted(const char* id, std::string message, const std::string& path, std::string found,
                std::string fix) {
  return Error{.code = Code::kPermissionDenied,
               .id = id,
               .message = std::move(message),
               .where = path,
               .found = std::move(found),
               .fix = std::move(fix)};
}

// What production refuses, development says in the debug log.
Status refuse_or_warn(const HostConfig& host, Error error) {
  if (host.production) return error;
  log(Severity::kDebug, "plugin", error.to_string());
  return {};
}

bool owned_by_us(const struct stat& of) { return of.st_uid == 0 || of.st_uid == ::geteuid(); }

std::string mode_text(const struct stat& of) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(of.st_mode & 07777));
  return std::string("mode ") + text + ", user " + std::to_string(of.st_uid);
}

Status check_file(const struct stat& of, const std::string& path, const HostConfig& host) {
  if (!owned_by_us(of))
    TENON_TRY(refuse_or_warn(
        host, untrusted("TENON-P121", "the library belongs to another user", path, mode_text(of),
                        "chown it to root or to the user that runs the engine")));
  Error writable = untrusted("TENON-P122", "others may write to the library", path, mode_text(of),
                             "chmod go-w " + path);
  if ((of.st_mode & S_IWOTH) != 0) return writable;
  if ((of.st_mode & S_IWGRP) != 0) return refuse_or_warn(host, std::move(writable));
  return {};
}

// Where names may be taken away but not replaced by others (the sticky bit), a folder is as good as
// one that nobody else writes to.
Status check_folder(const struct stat& of, const std::string& path, const HostConfig& host) {
  const bool shared = (of.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (of.st_mode & S_ISVTX) == 0;
  if (owned_by_us(of) && !shared) return {};
  return refuse_or_warn(
      host,
      untrusted("TENON-P123", "others may put another library in its place", path, mode_text(of),
                "chmod go-w the folder, and chown it to root or to the user "
                "that runs the engine"));
}

// Opens the file one name at a time, no link followed, so that each folder that is checked is the
// one that is gone through.
Result<int> open_checked(const fs::path& path, const HostConfig& host) {
  Descriptor folder(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  fs::path so_far = "/";
  for (const fs::path& name : path.parent_path().relative_path()) {
    so_far /= name;
    folder.reset(
        ::openat(folder.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat of {};
    if (folder.get() < 0 || ::fstat(folder.get(), &of) != 0)
      return unreadable(path.string(), so_far.string() + ": " + std::strerror(errno));
    TENON_TRY(check_folder(of, so_far.string(), host));
  }
  const int fd = ::openat(folder.get(), path.filename().c_str(),
                          O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return unreadable(path.string(), std::strerror(errno));
  return fd;
}

Status check_directories(const fs::path& path, const HostConfig& host) {
  if (host.plugin_directories.empty()) return {};
  for (const std::string& directory : host.plugin_directories) {
    std::error_code failed;
    const fs::path allowed = fs::canonical(directory, failed);
    const auto [rest, unused] =
        std::mismatch(allowed.begin(), allowed.end(), path.begin(), path.end());
    if (!failed && rest == allowed.end()) return {};
  }
  Error error =
      untrusted("TENON-P120", "the library lies outside of the plugin directories", path.string(),
                path.parent_path().string(), "install it in one of them, or change " + host.source);
  for (const std::string& directory : host.plugin_directories)
    error.expected += (error.expected.empty() ? "under " : " or ") + directory;
  return error;
}

}  // namespace

Result<TrustedFile> read_trusted(const std::string& path, const HostConfig& host) {
  std::error_code failed;
  const fs::path real = fs::canonical(path, failed);
  if (failed) return unreadable(path, failed.message());
  TENON_TRY(check_directories(real, host));
  TENON_ASSIGN(const int fd, open_checked(real, host));
  const Descriptor file(fd);
  struct stat of {};
  if (::fstat(fd, &of) != 0) return unreadable(path, std::strerror(errno));
  if (!S_ISREG(of.st_mode)) return unreadable(path, "not a regular file");
  if (of.st_size > kMaxBytes) return unreadable(path, std::to_string(of.st_size) + " bytes");
  TENON_TRY(check_file(of, real.string(), host));
  TrustedFile out{.path = real.string(),
                  .content = std::string(static_cast<std::size_t>(of.st_size), '\0')};
  for (std::size_t at = 0; at < out.content.size();) {
    const ssize_t n = ::read(fd, out.content.data() + at, out.content.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return unreadable(path, n < 0 ? std::strerror(errno) : "it became shorter");
    at += static_cast<std::size_t>(n);
  }
  return out;
}

}  // namespace tenon
