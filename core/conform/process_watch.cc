#include "core/conform/process_watch.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

namespace tenon::conform {

std::size_t threads_of_this_process() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

CapturedOutput::CapturedOutput(std::initializer_list<int> fds)
    : file_(::memfd_create("output", MFD_CLOEXEC)) {
  std::fflush(nullptr);  // what was written before is not the plugin's
  for (const int fd : fds) {
    const int copy = file_ < 0 ? -1 : ::dup(fd);
    if (copy < 0) continue;
    kept_.emplace_back(fd, copy);
    ::dup2(file_, fd);
  }
}

CapturedOutput::~CapturedOutput() {
  lead_back();
  if (file_ >= 0) ::close(file_);
}

void CapturedOutput::lead_back() {
  std::fflush(nullptr);
  for (const auto& [fd, copy] : kept_) {
    ::dup2(copy, fd);
    ::close(copy);
  }
  kept_.clear();
}

std::string CapturedOutput::finish() {
  lead_back();
  if (file_ < 0) return {};
  std::string out(static_cast<std::size_t>(std::max<off_t>(0, ::lseek(file_, 0, SEEK_END))), '\0');
  if (::pread(file_, out.data(), out.size(), 0) < 0) out.clear();
  return out;
}

}  // namespace tenon::conform
