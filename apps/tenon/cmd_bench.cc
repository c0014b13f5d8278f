// One measurement: `depth` tokens of each sequence are put into the cache, then `prompt` tokens are
// read and `gen` tokens generated for each, timed. The last line of stdout is a JSON object with
// prefill_tps and decode_tps, summed over the batch, medians of the rounds, with their ranges; 0
// where nothing was timed.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <random>

#include "apps/tenon/cli.h"
#include "apps/tenon/profile_report.h"
#include "apps/tenon/session.h"

namespace tenon::app {
namespace {

using Clock = std::chrono::steady_clock;
using Ids = std::vector<std::int32_t>;

struct Rates {
  double prefill = 0, decode = 0;
};

// Over the rounds.
struct Summary {
  double median = 0, least = 0, most = 0;
};

Summary summary_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  const double median = values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {median, values.front(), values.back()};
}

class Bench {
 public:
  // Sequences take the adapters in turn.
  Bench(const BenchCommand& command, LoadedEngine& loaded, std::vector<std::string> adapters)
      : command_(command),
        loaded_(loaded),
        engine_(loaded.engine()),
        adapters_(std::move(adapters)) {
    const Tokenizer& tokenizer = loaded.tokenizer();
    for (std::int32_t id = 0; id < tokenizer.vocabulary_size(); ++id)
      if (tokenizer.kind(id) == TokenKind::kNormal) normal_.push_back(id);
    if (!normal_.empty()) return;
    normal_.resize(static_cast<std::size_t>(tokenizer.vocabulary_size()));
    std::iota(normal_.begin(), normal_.end(), 0);
  }

  // Brings weights and code into memory and wakes the threads.
  Status warm_up() {
    Ids prompt = random_ids(std::min<std::int64_t>(64, loaded_.context() / 2));
    return run({request(std::move(prompt), 8, 0)});
  }

  Result<Rates> measure() {
    std::vector<Ids> depths;
    std::vector<RequestSpec> fill;
    for (std::int64_t i = 0; i < command_.batch; ++i) {
      depths.push_back(random_ids(command_.depth));
      if (command_.depth > 0) fill.push_back(request(depths.back(), 1, i));
    }
    TENON_TRY(run(std::move(fill)));

    std::vector<RequestSpec> timed;
    first_tokens_ = last_tokens_ = 0;
    for (Ids& ids : depths) {
      // Generation starts from at least one token, which nothing times.
      const Ids prompt = random_ids(command_.prompt + command_.depth == 0 ? 1 : command_.prompt);
      ids.insert(ids.end(), prompt.begin(), prompt.end());
      timed.push_back(
          request(std::move(ids), command_.gen + 1, static_cast<std::int64_t>(timed.size())));
      timed.back().on_event = [this, first = true](const TokenEvent&) mutable {
        if (!first) {
          ++last_tokens_;
          return;
        }
        first = false;
        if (++first_tokens_ == command_.batch) {
          prefilled_ = Clock::now();
          early_tokens_ = last_tokens_;
        }
      };
    }
    const Clock::time_point start = Clock::now();
    TENON_TRY(run(std::move(timed)));
    const Clock::time_point end = Clock::now();
    const auto rate = [](std::int64_t tokens, Clock::duration time) {
      const double seconds = std::chrono::duration<double>(time).count();
      return tokens > 0 && seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
    };
    return Rates{.prefill = rate(command_.prompt * command_.batch, prefilled_ - start),
                 .decode = rate(last_tokens_ - early_tokens_, end - prefilled_)};
  }

 private:
  Ids random_ids(std::int64_t count) {
    std::uniform_int_distribution<std::size_t> pick(0, normal_.size() - 1);
    Ids ids(static_cast<std::size_t>(count));
    for (std::int32_t& id : ids) id = normal_[pick(random_)];
    return ids;
  }
  RequestSpec request(Ids prompt, std::int64_t max_tokens, std::int64_t sequence) const {
    RequestSpec spec;
    if (!adapters_.empty())
      spec.adapter = adapters_[static_cast<std::size_t>(sequence) % adapters_.size()];
    spec.prompt = std::move(prompt);
    spec.max_tokens = static_cast<std::int32_t>(max_tokens);
    spec.ignore_eos = true;
    return spec;
  }
  Status run(std::vector<RequestSpec> specs) {
    std::vector<std::uint64_t> ids;
    for (RequestSpec& spec : specs) {
      TENON_ASSIGN(const std::uint64_t id, engine_.submit(std::move(spec)));
      ids.push_back(id);
    }
    return run_until_done(engine_, ids);
  }

  const BenchCommand& command_;
  LoadedEngine& loaded_;
  Engine& engine_;
  std::vector<std::string> adapters_;
  Ids normal_;
  std::mt19937_64 random_{1};
  std::int64_t first_tokens_ = 0, last_tokens_ = 0, early_tokens_ = 0;
  Clock::time_point prefilled_;
};

// Room for every sequence at once, beside what the caches keep of the depth.
std::int64_t pages_needed(const BenchCommand& command) {
  constexpr std::int64_t kPage = 64;
  const std::int64_t tokens = command.depth + command.prompt + command.gen + 2;
  return command.batch * (tokens / kPage + 3) + 8;
}

Result<std::pair<Summary, Summary>> run_bench(const BenchCommand& command) {
  TENON_ASSIGN(Manifest manifest, choose_manifest(command.engine));
  if (manifest.engine.kv_pages == 0 && manifest.engine.kv_bytes == 0)
    manifest.engine.kv_pages = pages_needed(command);
  TENON_ASSIGN(const AdapterWish wish, read_adapters(command.engine.adapters, manifest, false));
  add_adapters(wish, manifest);
  TENON_ASSIGN(const std::unique_ptr<Session> session,
               open_session(std::move(manifest), command.engine));
  Bench bench(command, *session->engine, wish.names);
  TENON_TRY(bench.warm_up());
  std::vector<double> prefill, decode;
  for (std::int64_t round = 0; round < command.rounds; ++round) {
    TENON_ASSIGN(const Rates rates, bench.measure());
    prefill.push_back(rates.prefill);
    decode.push_back(rates.decode);
    std::fprintf(stderr, "round %lld: prefill %.2f tokens/s, decode %.2f tokens/s\n",
                 static_cast<long long>(round + 1), rates.prefill, rates.decode);
  }
  std::fprintf(stderr, "%s, %u threads, numerics %s\n",
               std::string(session->engine->device()).c_str(), session->engine->threads(),
               std::string(session->engine->numerics()).c_str());
  TENON_TRY(report_profile(*session->engine, command.engine));
  return std::pair(summary_of(std::move(prefill)), summary_of(std::move(decode)));
}

}  // namespace

int run_command(const BenchCommand& command) {
  const auto rates = run_bench(command);
  if (!rates.ok()) return report_error(rates.error());
  const auto& [prefill, decode] = *rates;
  std::printf(
      "{\"prefill_tps\": %.3f, \"decode_tps\": %.3f, \"rounds\": %lld, "
      "\"prefill_range\": [%.3f, %.3f], \"decode_range\": [%.3f, %.3f]}\n",
      prefill.median, decode.median, static_cast<long long>(command.rounds), prefill.least,
      prefill.most, decode.least, decode.most);
  return kExitOk;
}

}  // namespace tenon::app
