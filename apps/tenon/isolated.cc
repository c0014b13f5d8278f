#include "apps/tenon/isolated.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <optional>
#include <thread>

#include "apps/tenon/interrupt.h"
#include "apps/tenon/subprocess.h"
#include "core/manifest/param_value.h"

namespace tenon::app {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct Folder {
  std::string path;
  ~Folder() {
    std::error_code ignored;
    if (!path.empty()) fs::remove_all(path, ignored);
  }
};

Status make(Folder& folder) {
  std::error_code error;
  std::string name = (fs::temp_directory_path(error) / "tenon-isolated-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr)
    return Error{.code = Code::kUnavailable,
                 .id = "TENON-A074",
                 .message = "no temporary folder can be made",
                 .where = name,
                 .found = std::strerror(errno),
                 .fix = "let TMPDIR name a folder that can be written to"};
  folder.path = name;
  return {};
}

std::string trouble_of(const ChildResult& child, double limit) {
  if (child.cancelled)
    return "not done after " + param_value_text(ParamValue(limit)) +
           " seconds: hangs, or --timeout is too short";
  if (child.exit_code > 128) return std::string("signal ") + ::strsignal(child.exit_code - 128);
  return child.exit_code == 0 ? ""
                              : "the process ended with code " + std::to_string(child.exit_code);
}

}  // namespace

Result<IsolatedResult> run_isolated(std::vector<std::string> arguments, double limit_seconds) {
  Folder folder;
  TENON_TRY(make(folder));
  const std::string result = folder.path + "/result";
  const Clock::time_point from = Clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - from).count(); };
  ChildOptions options{.argv = std::move(arguments), .environment = {{"TMPDIR", folder.path}}};
  options.argv.insert(options.argv.begin(), fs::read_symlink("/proc/self/exe").string());
  options.argv.insert(options.argv.end(), {"--result", result});
  options.poll = std::chrono::milliseconds(20);
  options.keep_going = [&] { return !interrupted() && seconds() < limit_seconds; };
  TENON_ASSIGN(const ChildResult child, run_child(options));
  IsolatedResult out{.trouble = trouble_of(child, limit_seconds),
                     .hung = child.cancelled,
                     .seconds = seconds(),
                     .output = child.output};
  std::ifstream file(result, std::ios::binary);
  out.written.assign(std::istreambuf_iterator<char>(file), {});
  return out;
}

Status for_each_at_once(std::size_t n, std::int64_t jobs,
                        const std::function<Status(std::size_t)>& work) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::optional<Error> error;
  const auto loop = [&] {
    for (std::size_t i; !interrupted() && (i = next++) < n;) {
      Status done = work(i);
      const std::lock_guard lock(mutex);
      if (!done.ok() && !error) error = done.take_error();
      if (error) return;
    }
  };
  std::vector<std::thread> threads;
  if (jobs <= 0) jobs = std::max(1u, std::thread::hardware_concurrency());
  for (std::int64_t i = 1; i < jobs; ++i) threads.emplace_back(loop);
  loop();
  for (std::thread& thread : threads) thread.join();
  if (error) return *error;
  if (interrupted())
    return Error{.code = Code::kCancelled, .id = "TENON-A017", .message = "interrupted"};
  return {};
}

}  // namespace tenon::app
