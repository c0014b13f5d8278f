#include "apps/tenon/bench/cell.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <numeric>

#include "apps/tenon/session.h"

namespace tenon::app {
namespace {

using Clock = std::chrono::steady_clock;
using Ids = std::vector<std::int32_t>;

double seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

// When the tokens of one round came.
struct Watch {
  explicit Watch(std::int64_t batch) : waiting(batch), last(static_cast<std::size_t>(batch)) {}

  void token(std::size_t sequence, const TokenEvent& event, BenchRound& round) {
    if (event.token < 0) return;
    const Clock::time_point now = Clock::now();
    const bool first = last[sequence] == Clock::time_point();
    if (!first && waiting == 0) {
      ++round.decode_tokens;
      if (last[sequence] >= read) round.gaps.push_back(seconds(now - last[sequence]));
    }
    last[sequence] = now;
    if (!first) return;
    round.spared = std::min<std::int64_t>(round.spared, event.cached);
    if (--waiting == 0) read = now;
  }

  std::int64_t waiting;                 // sequences without a token
  Clock::time_point read;               // when there were none
  std::vector<Clock::time_point> last;  // of each sequence
};

}  // namespace

std::int64_t pages_needed(const std::vector<BenchCell>& cells) {
  constexpr std::int64_t kPage = 64;
  std::int64_t most = 0;
  for (const BenchCell& cell : cells)
    most = std::max(most, cell.batch * ((cell.depth + cell.prompt + cell.gen + 2) / kPage + 3));
  return most + 8;
}

CellBench::CellBench(LoadedEngine& loaded, std::vector<std::string> adapters)
    : engine_(loaded.engine()), adapters_(std::move(adapters)) {
  const Tokenizer& tokenizer = loaded.tokenizer();
  for (std::int32_t id = 0; id < tokenizer.vocabulary_size(); ++id)
    if (tokenizer.kind(id) == TokenKind::kNormal) normal_.push_back(id);
  if (!normal_.empty()) return;
  normal_.resize(static_cast<std::size_t>(tokenizer.vocabulary_size()));
  std::iota(normal_.begin(), normal_.end(), 0);
}

Ids CellBench::random_ids(std::int64_t count) {
  std::uniform_int_distribution<std::size_t> pick(0, normal_.size() - 1);
  Ids ids(static_cast<std::size_t>(count));
  for (std::int32_t& id : ids) id = normal_[pick(random_)];
  return ids;
}

RequestSpec CellBench::request(Ids prompt, std::int64_t max_tokens, std::int64_t sequence) const {
  RequestSpec spec;
  if (!adapters_.empty())
    spec.adapter = adapters_[static_cast<std::size_t>(sequence) % adapters_.size()];
  spec.prompt = std::move(prompt);
  spec.max_tokens = static_cast<std::int32_t>(max_tokens);
  spec.ignore_eos = true;
  return spec;
}

Status CellBench::run(std::vector<RequestSpec> specs) {
  std::vector<std::uint64_t> ids;
  for (RequestSpec& spec : specs) {
    TENON_ASSIGN(const std::uint64_t id, engine_.submit(std::move(spec)));
    ids.push_back(id);
  }
  return run_until_done(engine_, ids);
}

// Puts the depth into the cache and gives the requests that are timed.
Result<std::vector<RequestSpec>> CellBench::fill(const BenchCell& cell) {
  std::vector<RequestSpec> untimed, timed;
  for (std::int64_t i = 0; i < cell.batch; ++i) {
    Ids ids = random_ids(cell.depth);
    if (cell.depth > 0) untimed.push_back(request(ids, 1, i));
    // Generation starts from at least one token, which nothing times.
    const Ids prompt = random_ids(cell.prompt + cell.depth == 0 ? 1 : cell.prompt);
    ids.insert(ids.end(), prompt.begin(), prompt.end());
    timed.push_back(request(std::move(ids), cell.gen + 1, i));
  }
  TENON_TRY(run(std::move(untimed)));
  return timed;
}

Result<BenchRound> CellBench::measure(const BenchCell& cell, std::uint64_t seed) {
  random_.seed(seed);
  TENON_ASSIGN(std::vector<RequestSpec> timed, fill(cell));
  BenchRound round{.spared = std::numeric_limits<std::int64_t>::max()};
  round.gaps.reserve(static_cast<std::size_t>(cell.batch * cell.gen));
  Watch watch(cell.batch);
  for (std::size_t i = 0; i < timed.size(); ++i)
    timed[i].on_event = [&, i](const TokenEvent& event) { watch.token(i, event, round); };
  const Clock::time_point start = Clock::now();
  TENON_TRY(run(std::move(timed)));
  const Clock::time_point end = Clock::now();
  round.prefill_time = seconds(watch.read - start);
  round.decode_time = seconds(end - watch.read);
  // What is left of the depth after the cache's last full page is read anew.
  if (cell.prompt > 0)
    round.prefill_tokens =
        cell.batch * (cell.prompt + std::max<std::int64_t>(0, cell.depth - round.spared));
  return round;
}

}  // namespace tenon::app
