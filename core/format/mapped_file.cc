#include "core/format/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tenon {

FileStamp stamp_of(const struct stat& info) {
  const auto nanoseconds = [](const timespec& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  };
  return {static_cast<std::uint64_t>(info.st_size),
          info.st_ino,
          info.st_dev,
          nanoseconds(info.st_mtim),
          nanoseconds(info.st_ctim),
          info.st_uid};
}

Mapping map_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {.why_not = std::strerror(errno)};
  struct stat info {};
  const bool known = ::fstat(fd, &info) == 0;
  if (!known || !S_ISREG(info.st_mode) || info.st_size <= 0) {
    ::close(fd);
    return {.why_not = known && S_ISREG(info.st_mode) ? "an empty file" : "not a file"};
  }
  const auto bytes = static_cast<std::size_t>(info.st_size);
  void* memory = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  const int error = errno;
  ::close(fd);
  if (memory == MAP_FAILED) return {.why_not = std::strerror(error)};
  return {memory, bytes, stamp_of(info), {}};
}

}  // namespace tenon
