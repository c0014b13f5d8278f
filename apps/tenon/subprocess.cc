#include "apps/tenon/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tenon::app {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kKeptOutput = 16 * 1024;
constexpr std::chrono::seconds kGrace{2};  // between SIGTERM and SIGKILL

struct Pipe {
  int read_end = -1, write_end = -1;
  ~Pipe() {
    close_read();
    close_write();
  }
  bool open() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    read_end = ends[0];
    write_end = ends[1];
    return true;
  }
  void close_read() {
    if (read_end >= 0) ::close(std::exchange(read_end, -1));
  }
  void close_write() {
    if (write_end >= 0) ::close(std::exchange(write_end, -1));
  }
};

Error cannot_start(const ChildOptions& options, int error) {
  return {.code = Code::kNotFound,
          .id = "TENON-A020",
          .message = "cannot start a program",
          .where = options.argv.front(),
          .found = std::strerror(error)};
}

// In the child, between fork and exec: only calls that are safe there. Everything that allocates
// was made ready by the parent.
[[noreturn]] void become(char* const* argv, char* const* environment, const Pipe& output,
                         const Pipe& failure, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // the parent died before prctl
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP, SIGXFSZ, SIGPIPE})
    signal(signal_number, SIG_DFL);
  const int nothing = open("/dev/null", O_RDONLY);
  dup2(nothing, STDIN_FILENO);
  dup2(output.write_end, STDOUT_FILENO);
  dup2(output.write_end, STDERR_FILENO);
  execvpe(argv[0], argv, environment);
  const int error = errno;
  [[maybe_unused]] const ssize_t written = write(failure.write_end, &error, sizeof error);
  _exit(127);
}

std::vector<std::string> merged_environment(const ChildOptions& options) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry; ++entry) {
    bool replaced = false;
    for (const auto& [name, value] : options.environment)
      replaced |= std::string_view(*entry).starts_with(name + "=");
    if (!replaced) out.emplace_back(*entry);
  }
  for (const auto& [name, value] : options.environment) out.push_back(name + "=" + value);
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& text : strings) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// Reads what is there within `wait`; false at the end of the stream.
bool drain(int fd, std::chrono::milliseconds wait, std::string& output) {
  pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
  if (poll(&ready, 1, static_cast<int>(wait.count())) <= 0) return true;
  char buffer[4096];
  const ssize_t got = read(fd, buffer, sizeof buffer);
  if (got <= 0) return got < 0 && errno == EINTR;
  output.append(buffer, static_cast<std::size_t>(got));
  if (output.size() > 2 * kKeptOutput) output.erase(0, output.size() - kKeptOutput);
  return true;
}

bool has_data(int fd) {
  pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&ready, 1, 0) > 0;
}

// Waits for `child`, but not past `until`; true when it has ended.
bool reap(pid_t child, int& status, Clock::time_point until) {
  for (;;) {
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child || (ended < 0 && errno == ECHILD)) return true;
    if (Clock::now() >= until) return false;
    usleep(10'000);
  }
}

void end_group(pid_t child, int& status) {
  kill(-child, SIGTERM);
  if (reap(child, status, Clock::now() + kGrace)) {
    kill(-child, SIGKILL);  // whatever the child left behind in its group
    return;
  }
  kill(-child, SIGKILL);
  reap(child, status, Clock::time_point::max());
}

ChildResult follow(const ChildOptions& options, pid_t child, Pipe& output) {
  ChildResult result;
  int status = 0;
  bool open = true;
  for (auto next = Clock::now();;) {
    if (Clock::now() >= next) {
      if (options.keep_going && !options.keep_going()) {
        result.cancelled = true;
        end_group(child, status);
        break;
      }
      next = Clock::now() + options.poll;
    }
    // A grandchild may hold the pipe open after the child has ended, so both ends count.
    if (open) open = drain(output.read_end, options.poll, result.output);
    if (reap(child, status, open ? Clock::now() : next)) {
      while (open && has_data(output.read_end))
        open = drain(output.read_end, std::chrono::milliseconds(0), result.output);
      break;
    }
  }
  if (result.output.size() > kKeptOutput)
    result.output.erase(0, result.output.size() - kKeptOutput);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace

Result<ChildResult> run_child(const ChildOptions& options) {
  Pipe output, failure;
  if (!output.open() || !failure.open()) return cannot_start(options, errno);
  std::vector<std::string> arguments = options.argv;
  std::vector<std::string> environment = merged_environment(options);
  std::vector<char*> argument_pointers = pointers(arguments);
  std::vector<char*> environment_pointers = pointers(environment);

  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return cannot_start(options, errno);
  if (child == 0)
    become(argument_pointers.data(), environment_pointers.data(), output, failure, parent);
  setpgid(child, child);  // in both, so that neither has to wait for the other
  output.close_write();
  failure.close_write();

  int error = 0;
  if (read(failure.read_end, &error, sizeof error) == sizeof error) {
    int status = 0;
    waitpid(child, &status, 0);
    return cannot_start(options, error);
  }
  return follow(options, child, output);
}

}  // namespace tenon::app
