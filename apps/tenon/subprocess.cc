#include "apps/tenon/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
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
  // The same, but writing to an end that nobody reads any more is an error and no signal: for
  // send().
  bool open_socket() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return false;
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

// What a child gets; -1: nothing to read.
struct Streams {
  int in = -1, out = -1, err = -1;
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
[[noreturn]] void become(char* const* argv, char* const* environment, const Streams& streams,
                         const Pipe& failure, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // the parent died before prctl
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP, SIGXFSZ, SIGPIPE})
    signal(signal_number, SIG_DFL);
  dup2(streams.in >= 0 ? streams.in : open("/dev/null", O_RDONLY), STDIN_FILENO);
  dup2(streams.out, STDOUT_FILENO);
  dup2(streams.err, STDERR_FILENO);
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

// The child's process id, which is its group's too.
Result<pid_t> spawn(const ChildOptions& options, const Streams& streams) {
  Pipe failure;
  if (!failure.open()) return cannot_start(options, errno);
  std::vector<std::string> arguments = options.argv;
  std::vector<std::string> environment = merged_environment(options);
  std::vector<char*> argument_pointers = pointers(arguments);
  std::vector<char*> environment_pointers = pointers(environment);

  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return cannot_start(options, errno);
  if (child == 0)
    become(argument_pointers.data(), environment_pointers.data(), streams, failure, parent);
  setpgid(child, child);  // in both, so that neither has to wait for the other
  failure.close_write();

  int error = 0;
  if (read(failure.read_end, &error, sizeof error) == sizeof error) {
    int status = 0;
    waitpid(child, &status, 0);
    return cannot_start(options, error);
  }
  return child;
}

std::string last_lines(const std::string& text) {
  constexpr std::size_t kShown = 300;
  const std::size_t end = text.find_last_not_of('\n') + 1;
  return text.substr(end > kShown ? end - kShown : 0, std::min(end, kShown));
}

}  // namespace

Result<ChildResult> run_child(const ChildOptions& options) {
  Pipe output;
  if (!output.open()) return cannot_start(options, errno);
  TENON_ASSIGN(const pid_t child, spawn(options, {-1, output.write_end, output.write_end}));
  output.close_write();
  return follow(options, child, output);
}

struct Companion::State {
  std::string program;
  pid_t child = -1;
  Pipe in, out, err;
  std::string heard, errors;  // not given away yet; the end of stderr
};

Companion::Companion(std::unique_ptr<State> state) : state_(std::move(state)) {}
Companion::Companion(Companion&&) noexcept = default;
Companion& Companion::operator=(Companion&&) noexcept = default;

Companion::~Companion() {
  if (state_ == nullptr || state_->child < 0) return;
  state_->in.close_write();
  int status = 0;
  if (!reap(state_->child, status, Clock::now() + kGrace)) end_group(state_->child, status);
}

Result<Companion> Companion::start(const std::vector<std::string>& argv) {
  auto state = std::make_unique<State>();
  const ChildOptions options{.argv = argv};
  if (!state->in.open_socket() || !state->out.open() || !state->err.open())
    return cannot_start(options, errno);
  state->program = argv.front();
  TENON_ASSIGN(state->child,
               spawn(options, {state->in.read_end, state->out.write_end, state->err.write_end}));
  state->in.close_read();
  state->out.close_write();
  state->err.close_write();
  return Companion(std::move(state));
}

int Companion::process() const { return state_->child; }

Error Companion::ended() {
  while (has_data(state_->err.read_end) &&
         drain(state_->err.read_end, std::chrono::milliseconds(0), state_->errors)) {
  }
  int status = 0;
  if (!reap(state_->child, status, Clock::now() + kGrace)) end_group(state_->child, status);
  state_->child = -1;
  const std::string how = WIFSIGNALED(status)
                              ? std::string("signal: ") + ::strsignal(WTERMSIG(status))
                              : "exit code " + std::to_string(WEXITSTATUS(status));
  const std::string said = last_lines(state_->errors);
  return Error{.code = Code::kUnavailable,
               .id = "TENON-A091",
               .message = "a program that was measured ended by itself",
               .where = state_->program,
               .found = how + (said.empty() ? "" : ": " + said)};
}

Status Companion::tell(const std::string& line) {
  const std::string text = line + "\n";
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t wrote =
        send(state_->in.write_end, text.data() + at, text.size() - at, MSG_NOSIGNAL);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return ended();
    at += static_cast<std::size_t>(wrote);
  }
  return {};
}

Result<std::string> Companion::hear(const std::function<bool()>& keep_going) {
  for (;;) {
    if (const std::size_t end = state_->heard.find('\n'); end != std::string::npos) {
      std::string line = state_->heard.substr(0, end);
      state_->heard.erase(0, end + 1);
      return line;
    }
    if (!keep_going())
      return Error{.code = Code::kCancelled, .id = "TENON-A017", .message = "interrupted"};
    pollfd ready[] = {{state_->out.read_end, POLLIN, 0}, {state_->err.read_end, POLLIN, 0}};
    if (poll(ready, 2, 200) <= 0) continue;
    if ((ready[1].revents & POLLIN) != 0)
      drain(state_->err.read_end, std::chrono::milliseconds(0), state_->errors);
    if (ready[0].revents == 0) continue;
    char buffer[4096];
    const ssize_t got = read(state_->out.read_end, buffer, sizeof buffer);
    if (got == 0) return ended();
    if (got > 0) state_->heard.append(buffer, static_cast<std::size_t>(got));
  }
}

}  // namespace tenon::app
