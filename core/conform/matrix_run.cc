// One run of a matrix, and how what came of it goes from process to process: the state on the first
// line; then the error, or a line for each answer with its tokens and the bits of their
// log-probabilities.
#include <bit>
#include <sstream>

#include "core/conform/matrix.h"

namespace tenon::conform {
namespace {

constexpr const char* kStates[] = {"not run", "ran", "refused", "failed", "crashed"};

}  // namespace

void run_engine(const Matrix& matrix, PluginCatalog& catalog, MatrixRun& run) {
  const auto refuse = [&run](RunState state, const Error& error) {
    run.state = error.code == Code::kInternal ? RunState::kFailed : state;
    run.text = error.to_string();
  };
  const auto tiny = matrix.engine(run.parts, run.family);
  if (!tiny.ok()) return refuse(RunState::kRefused, tiny.error());
  const auto loaded = load_tiny(*tiny, catalog, {.check_boundary = true, .ignore_record = true});
  if (!loaded.ok()) return refuse(RunState::kRefused, loaded.error());
  auto answers = answer_tiny(**loaded);
  if (!answers.ok()) return refuse(RunState::kFailed, answers.error());
  run.state = RunState::kRan;
  run.answers = std::move(answers).value();
}

std::string run_text(const MatrixRun& run) {
  std::ostringstream out;
  out << kStates[static_cast<std::size_t>(run.state)] << '\n';
  if (run.state != RunState::kRan) return out.str() + run.text;
  for (const TinyAnswer& answer : run.answers) {
    for (std::size_t i = 0; i < answer.tokens.size(); ++i)
      out << answer.tokens[i] << ' ' << std::bit_cast<std::uint32_t>(answer.logprobs[i]) << ' ';
    out << '\n';
  }
  return out.str();
}

void read_run(const std::string& text, MatrixRun& run) {
  std::istringstream in(text);
  std::string line;
  std::getline(in, line);
  run.state = RunState::kCrashed;
  for (const RunState state : {RunState::kRan, RunState::kRefused, RunState::kFailed})
    if (line == kStates[static_cast<std::size_t>(state)]) run.state = state;
  if (run.state != RunState::kRan) {
    if (run.state != RunState::kCrashed) run.text.assign(std::istreambuf_iterator<char>(in), {});
    return;
  }
  while (std::getline(in, line)) {
    std::istringstream values(line);
    TinyAnswer& answer = run.answers.emplace_back();
    std::int32_t token = 0;
    for (std::uint32_t bits = 0; values >> token >> bits;) {
      answer.tokens.push_back(token);
      answer.logprobs.push_back(std::bit_cast<float>(bits));
    }
  }
}

}  // namespace tenon::conform
