#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/tenon/cli.h"
#include "apps/tenon/profile_report.h"
#include "apps/tenon/session.h"

namespace tenon::app {
namespace {

using nlohmann::ordered_json;

struct ScoredToken {
  std::int32_t id = -1;
  float logprob = 0;
  bool scored = false;  // the first token of a window has nothing before it
};

struct Score {
  std::vector<ScoredToken> tokens;
  std::size_t windows = 0, scored = 0;
  double sum = 0;  // of log-probabilities, natural
  std::size_t bytes = 0;
};

// Windows are requests of their own, so they share batches; each is scored by itself.
Result<Score> score_text(const ScoreCommand& command, Session& session, const std::string& text) {
  LoadedEngine& loaded = *session.engine;
  const Tokenizer& tokenizer = loaded.tokenizer();
  const std::vector<std::int32_t> ids = tokenizer.encode(text, false);
  const bool bos = tokenizer.add_bos() && tokenizer.bos().has_value();
  const auto most = static_cast<std::int64_t>(loaded.context()) - (bos ? 1 : 0);
  const std::int64_t window =
      command.window == 0 ? most : std::min<std::int64_t>(command.window, most);

  if (ids.empty())
    return Error{.code = Code::kInvalidArgument,
                 .id = "TENON-A033",
                 .message = "there is nothing to score",
                 .found = "a text of " + std::to_string(text.size()) + " bytes and no tokens"};

  Score score;
  score.bytes = text.size();
  for (const std::int32_t id : ids) score.tokens.push_back({.id = id});
  std::vector<std::uint64_t> requests;
  for (std::size_t begin = 0; begin < ids.size(); begin += static_cast<std::size_t>(window)) {
    const std::size_t end = std::min(ids.size(), begin + static_cast<std::size_t>(window));
    RequestSpec spec;
    if (bos) spec.prompt.push_back(*tokenizer.bos());
    for (std::size_t i = begin; i < end; ++i) spec.prompt.push_back(ids[i]);
    spec.max_tokens = 0;
    spec.prompt_logprobs = true;
    spec.adapter = session.adapters.request;
    const std::size_t first = begin - (bos ? 1 : 0);  // wraps for a BOS at 0 and back by `position`
    spec.on_event = [&score, first](const TokenEvent& event) {
      if (!event.prompt) return;
      ScoredToken& token = score.tokens[first + static_cast<std::size_t>(event.position)];
      token.logprob = event.logprob;
      token.scored = true;
    };
    TENON_ASSIGN(const std::uint64_t request, loaded.engine().submit(std::move(spec)));
    requests.push_back(request);
    ++score.windows;
  }
  TENON_TRY(run_until_done(loaded.engine(), requests));
  for (const ScoredToken& token : score.tokens) {
    score.scored += token.scored;
    score.sum += token.scored ? static_cast<double>(token.logprob) : 0;
  }
  return score;
}

void print_text(const Score& score, const Tokenizer& tokenizer, bool tokens) {
  if (tokens)
    for (const ScoredToken& token : score.tokens) {
      const std::string text = ordered_json(std::string(tokenizer.token_bytes(token.id)))
                                   .dump(-1, ' ', false, ordered_json::error_handler_t::replace);
      if (token.scored)
        std::printf("%14.6f  %7d  %s\n", static_cast<double>(token.logprob), token.id,
                    text.c_str());
      else
        std::printf("%14s  %7d  %s\n", "-", token.id, text.c_str());
    }
  const double mean = score.scored == 0 ? 0 : score.sum / static_cast<double>(score.scored);
  std::printf("tokens       %zu in %zu windows, %zu scored\n", score.tokens.size(), score.windows,
              score.scored);
  std::printf("log-prob     %.6f (mean %.6f)\n", score.sum, mean);
  std::printf("perplexity   %.6f\n", std::exp(-mean));
  std::printf("bits/byte    %.6f\n",
              score.bytes == 0 ? 0 : -score.sum / std::log(2.0) / static_cast<double>(score.bytes));
}

void print_json(const Score& score, const Session& session, bool tokens) {
  const Tokenizer& tokenizer = session.engine->tokenizer();
  const double mean = score.scored == 0 ? 0 : score.sum / static_cast<double>(score.scored);
  ordered_json out = {{"tokens", score.tokens.size()},
                      {"windows", score.windows},
                      {"scored", score.scored},
                      {"bytes", score.bytes},
                      {"logprob", score.sum},
                      {"perplexity", std::exp(-mean)},
                      {"model", session.model_path},
                      {"adapter", session.adapters.request},
                      {"device", std::string(session.engine->device())},
                      {"numerics", std::string(session.engine->numerics())}};
  if (tokens) {
    out["list"] = ordered_json::array();
    for (const ScoredToken& token : score.tokens) {
      ordered_json one = {{"id", token.id}, {"text", std::string(tokenizer.token_bytes(token.id))}};
      one["logprob"] = token.scored ? ordered_json(token.logprob) : ordered_json(nullptr);
      out["list"].push_back(std::move(one));
    }
  }
  std::puts(out.dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
}

}  // namespace

int run_command(const ScoreCommand& command) {
  std::string text = command.text;
  if (text.empty()) {
    const auto read = read_input(command.file.empty() ? "-" : command.file);
    if (!read.ok()) return report_error(read.error(), command.json);
    text = *read;
  }
  const auto session = open_session(command.engine);
  if (!session.ok()) return report_error(session.error(), command.json);
  const auto score = score_text(command, **session, text);
  if (!score.ok()) return report_error(score.error(), command.json);
  if (command.json)
    print_json(*score, **session, command.tokens);
  else
    print_text(*score, (*session)->engine->tokenizer(), command.tokens);
  if (const Status status = report_profile(*(*session)->engine, command.engine); !status.ok())
    return report_error(status.error(), command.json);
  return kExitOk;
}

}  // namespace tenon::app
