#include "apps/tenon/progress.h"

#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <utility>

namespace tenon::app {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::uint64_t kMega = 1'000'000;

const char* text_of(PullProgress::Phase phase) {
  switch (phase) {
    case PullProgress::Phase::kWaiting:
      return "waiting for another process that pulls it";
    case PullProgress::Phase::kDownloading:
      return "downloading";
    case PullProgress::Phase::kUnpacking:
      return "unpacking and checking";
  }
  return "";
}

}  // namespace

PullDisplay::PullDisplay(std::string model)
    : model_(std::move(model)), terminal_(isatty(STDERR_FILENO) == 1) {}

PullDisplay::~PullDisplay() {
  if (line_open_) std::fputs("\r\033[K", stderr);
}

void PullDisplay::show(const PullProgress& progress) {
  const bool new_phase = !started_ || progress.phase != phase_;
  if (!new_phase && Clock::now() < next_) return;
  started_ = true;
  phase_ = progress.phase;
  next_ = Clock::now() + (terminal_ ? std::chrono::milliseconds(100) : std::chrono::seconds(5));
  std::fputs(terminal_ ? "\r\033[K" : "", stderr);
  std::fprintf(stderr, "%s: %s", model_.c_str(), text_of(progress.phase));
  if (progress.total > 0)
    std::fprintf(stderr, " %3" PRIu64 " %% (%" PRIu64 " of %" PRIu64 " MB)",
                 100 * progress.done / progress.total, progress.done / kMega,
                 progress.total / kMega);
  if (!terminal_) std::fputc('\n', stderr);
  line_open_ = terminal_;
  std::fflush(stderr);
}

StatusLine::StatusLine()
    : terminal_(isatty(STDERR_FILENO) == 1),
      next_(Clock::now() + std::chrono::seconds(terminal_ ? 0 : 10)) {}

StatusLine::~StatusLine() { close(); }

void StatusLine::show(const std::string& text) {
  if (!due()) return;
  next_ = Clock::now() + (terminal_ ? std::chrono::milliseconds(100) : std::chrono::seconds(10));
  std::fprintf(stderr, "%s%s%s", terminal_ ? "\r\033[K" : "", text.c_str(), terminal_ ? "" : "\n");
  std::fflush(stderr);
  open_ = terminal_;
}

void StatusLine::close() {
  if (open_) std::fputs("\r\033[K", stderr);
  open_ = false;
}

void show_terms(const std::string& model, const Pulled& pulled) {
  if (pulled.terms.empty()) return;
  // A progress line may still be open.
  std::fprintf(stderr, "%s%s: using it is subject to the terms in %s\n",
               isatty(STDERR_FILENO) == 1 ? "\r\033[K" : "", model.c_str(), pulled.terms.c_str());
}

}  // namespace tenon::app
