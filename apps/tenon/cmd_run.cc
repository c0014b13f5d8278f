#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/tenon/cli.h"
#include "apps/tenon/interrupt.h"
#include "apps/tenon/profile_report.h"
#include "apps/tenon/session.h"

namespace tenon::app {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::ordered_json;

struct AnswerToken {
  std::int32_t id = 0;
  float logprob = 0;
  std::vector<TokenLogprob> top;
};

struct Answer {
  std::string text;
  std::vector<AnswerToken> tokens;
  FinishReason finish = FinishReason::kNone;
  std::size_t prompt_tokens = 0;
  std::uint64_t cached_tokens = 0;
  double first_seconds = 0, total_seconds = 0;  // from the request's arrival
};

// "257=-2.5"; TENON-A034.
Result<std::pair<std::int32_t, double>> bias_of(const std::string& text) {
  std::int32_t token = 0;
  double bias = 0;
  int used = 0;
  if (std::sscanf(text.c_str(), "%d=%lf%n", &token, &bias, &used) == 2 &&
      static_cast<std::size_t>(used) == text.size())
    return std::pair(token, bias);
  return Error{.code = Code::kInvalidArgument,
               .id = "TENON-A034",
               .message = "not a logit bias",
               .where = "--logit-bias",
               .found = "\"" + text + "\"",
               .expected = "TOKEN=BIAS, for instance 257=-2.5"};
}

Result<RequestSpec> request_of(const LoadedEngine& engine, const RunCommand& command) {
  RequestSpec spec = engine.default_request();
  apply_sampling(command.sampling, spec);
  for (const std::string& text : command.sampling.logit_bias) {
    TENON_ASSIGN(const auto bias, bias_of(text));
    spec.sampling.logit_bias.push_back(bias);
  }
  spec.stop = command.sampling.stop;
  spec.ignore_eos = command.sampling.ignore_eos;
  spec.n_top = command.logprobs;
  return spec;
}

class Runner {
 public:
  Runner(const RunCommand& command, Session& session, std::optional<ChatTemplate> chat)
      : command_(command), session_(session), chat_(std::move(chat)) {
    if (!command.system.empty()) history_.push_back({"system", command.system});
  }

  int answer_once(const std::string& prompt);
  int answer_all(const std::vector<std::string>& prompts);
  int converse();

 private:
  Result<std::vector<std::int32_t>> tokens_of(const std::string& prompt) const;
  Result<std::uint64_t> submit(const std::string& prompt, bool stream, Answer& answer);
  Status ask(const std::string& prompt, Answer& answer);
  void print_stats(const Answer& answer) const;
  ordered_json json_of(const Answer& answer) const;

  const RunCommand& command_;
  Session& session_;
  std::optional<ChatTemplate> chat_;
  std::vector<ChatMessage> history_;
};

// The whole conversation with this prompt as its last message; without a template, the prompt.
Result<std::vector<std::int32_t>> Runner::tokens_of(const std::string& prompt) const {
  const Tokenizer& tokenizer = session_.engine->tokenizer();
  if (chat_) {
    std::vector<ChatMessage> messages = history_;
    messages.push_back({"user", prompt});
    const auto text_of = [&](const std::optional<std::int32_t>& id) {
      return id ? tokenizer.token_bytes(*id) : std::string_view();
    };
    TENON_ASSIGN(const std::string text,
                 chat_->render(messages, true, text_of(tokenizer.bos()), text_of(tokenizer.eos())));
    return tokenizer.encode(text, true);
  }
  std::vector<std::int32_t> ids = tokenizer.encode(prompt, false);
  if (tokenizer.add_bos() && tokenizer.bos()) ids.insert(ids.begin(), *tokenizer.bos());
  return ids;
}

// `answer` must stay where it is until the request has ended.
Result<std::uint64_t> Runner::submit(const std::string& prompt, bool stream, Answer& answer) {
  TENON_ASSIGN(RequestSpec spec, request_of(*session_.engine, command_));
  TENON_ASSIGN(spec.prompt, tokens_of(prompt));
  spec.adapter = session_.adapters.request;
  answer.prompt_tokens = spec.prompt.size();
  spec.on_event = [&answer, stream, start = Clock::now()](const TokenEvent& event) {
    answer.total_seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (event.token >= 0) {
      if (answer.tokens.empty()) answer.first_seconds = answer.total_seconds;
      answer.cached_tokens = static_cast<std::uint64_t>(event.cached);
      answer.tokens.push_back({event.token, event.logprob, {event.top.begin(), event.top.end()}});
    }
    answer.text += event.text;
    answer.finish = event.finish;
    if (!stream || event.text.empty()) return;
    std::fwrite(event.text.data(), 1, event.text.size(), stdout);
    std::fflush(stdout);
  };
  return session_.engine->engine().submit(std::move(spec));
}

Status Runner::ask(const std::string& prompt, Answer& answer) {
  Engine& engine = session_.engine->engine();
  TENON_ASSIGN(const std::uint64_t request, submit(prompt, !command_.json, answer));
  Status done = run_until_done(engine, {request});
  if (!command_.json && !answer.text.ends_with('\n')) std::fputc('\n', stdout);
  if (chat_) {
    history_.push_back({"user", prompt});
    history_.push_back({"assistant", answer.text});
  }
  return done;
}

void Runner::print_stats(const Answer& answer) const {
  const LoadedEngine& engine = *session_.engine;
  const LoadTimes& times = engine.times();
  const double decode = answer.total_seconds - answer.first_seconds;
  const auto computed = static_cast<double>(answer.prompt_tokens - answer.cached_tokens);
  const double generated =
      answer.tokens.empty() ? 0 : static_cast<double>(answer.tokens.size() - 1);
  const std::string ranks =
      engine.ranks() > 1 ? std::to_string(engine.ranks()) + " ranks (numerics split), " : "";
  std::string pages;
  for (const KvPoolSize& pool : engine.kv_pools())
    pages += (pages.empty() ? "" : ", ") + std::to_string(pool.n_pages) + " pages of " +
             std::to_string(pool.page_bytes) + " bytes" +
             (pool.window > 0 ? " (window " + std::to_string(pool.window) + ")" : "");
  const std::string weights =
      engine.packed_file().empty() ? "of the model file" : "of " + engine.packed_file();
  std::fprintf(stderr,
               "load %.3f s (plugins %.3f, declare %.3f, weights %.3f, memory %.3f), weights %s\n"
               "prompt %zu tokens, %llu from the cache, first token after %.3f s (%.1f tokens/s)\n"
               "answer %zu tokens, %.1f tokens/s, finish: %s\n"
               "%s, %s%u threads, numerics %.*s, %s\n",
               times.plugins + times.declare + times.weights + times.memory, times.plugins,
               times.declare, times.weights, times.memory, weights.c_str(), answer.prompt_tokens,
               static_cast<unsigned long long>(answer.cached_tokens), answer.first_seconds,
               answer.first_seconds > 0 ? computed / answer.first_seconds : 0, answer.tokens.size(),
               decode > 0 ? generated / decode : 0, finish_reason_name(answer.finish),
               std::string(engine.device()).c_str(), ranks.c_str(), engine.threads(),
               static_cast<int>(engine.numerics().size()), engine.numerics().data(), pages.c_str());
}

ordered_json Runner::json_of(const Answer& answer) const {
  const Tokenizer& tokenizer = session_.engine->tokenizer();
  const auto token_json = [&](std::int32_t id, float logprob) {
    return ordered_json{
        {"id", id}, {"text", std::string(tokenizer.token_bytes(id))}, {"logprob", logprob}};
  };
  ordered_json tokens = ordered_json::array();
  for (const AnswerToken& token : answer.tokens) {
    tokens.push_back(token_json(token.id, token.logprob));
    for (const TokenLogprob& other : token.top)
      tokens.back()["top"].push_back(token_json(other.token, other.logprob));
  }
  return {{"text", answer.text},
          {"finish", finish_reason_name(answer.finish)},
          {"prompt_tokens", answer.prompt_tokens},
          {"cached_tokens", answer.cached_tokens},
          {"tokens", std::move(tokens)},
          {"first_token_seconds", answer.first_seconds},
          {"seconds", answer.total_seconds},
          {"model", session_.model_path},
          {"adapter", session_.adapters.request},
          {"device", std::string(session_.engine->device())},
          {"numerics", std::string(session_.engine->numerics())},
          {"ranks", session_.engine->ranks()}};
}

void print(const ordered_json& value) {
  std::puts(value.dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
}

int Runner::answer_once(const std::string& prompt) {
  Answer answer;
  const Status done = ask(prompt, answer);
  const bool cancelled = !done.ok() && done.error().code == Code::kCancelled;
  if (!done.ok() && !cancelled) return report_error(done.error(), command_.json);
  if (command_.json) print(json_of(answer));
  if (command_.stats) print_stats(answer);
  return cancelled ? kExitInterrupted : kExitOk;
}

// All prompts are live at once and batched; the answers come out in the order of the prompts.
int Runner::answer_all(const std::vector<std::string>& prompts) {
  std::vector<Answer> answers(prompts.size());
  std::vector<std::uint64_t> requests;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const auto request = submit(prompts[i], false, answers[i]);
    if (!request.ok()) return report_error(request.error(), command_.json);
    requests.push_back(*request);
  }
  const Status done = run_until_done(session_.engine->engine(), requests);
  const bool cancelled = !done.ok() && done.error().code == Code::kCancelled;
  if (!done.ok() && !cancelled) return report_error(done.error(), command_.json);
  ordered_json all = ordered_json::array();
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    if (command_.json) {
      all.push_back(json_of(answers[i]));
      all.back()["prompt"] = prompts[i];
    } else {
      std::printf("[%zu] %s\n%s\n\n", i + 1, prompts[i].c_str(), answers[i].text.c_str());
    }
    if (command_.stats) print_stats(answers[i]);
  }
  if (command_.json) print(all);
  return cancelled ? kExitInterrupted : kExitOk;
}

// An interrupt ends the answer that is being given; at the prompt it ends the program.
int Runner::converse() {
  std::fputs("Ctrl-D ends, Ctrl-C stops an answer.\n", stderr);
  for (std::string line;;) {
    std::fputs("> ", stderr);
    if (!std::getline(std::cin, line)) break;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::size_t before = history_.size();
    Answer answer;
    const Status done = ask(line, answer);
    if (!done.ok() && done.error().code != Code::kCancelled) {
      report_error(done.error());
      history_.resize(before);
    }
    clear_interrupt();
    if (command_.stats) print_stats(answer);
  }
  std::fputc('\n', stderr);
  return interrupted() ? kExitInterrupted : kExitOk;
}

// Empty lines are no prompts.
std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);)
    if (line.find_first_not_of(" \t\r") != std::string::npos) lines.push_back(line);
  return lines;
}

}  // namespace

int run_command(const RunCommand& command) {
  const bool none = command.prompt.empty() && command.file.empty() && command.prompts.empty();
  const bool from_stdin = none && !isatty(STDIN_FILENO);
  const bool talk = none && !from_stdin;
  std::string prompt = command.prompt;
  std::vector<std::string> prompts;
  if (!command.prompts.empty()) {
    const auto text = read_input(command.prompts);
    if (!text.ok()) return report_error(text.error(), command.json);
    prompts = lines_of(*text);
  } else if (prompt.empty() && !talk) {
    const auto text = read_input(from_stdin ? "-" : command.file);
    if (!text.ok()) return report_error(text.error(), command.json);
    prompt = *text;
    // The line end that echo and editors add is not part of what was meant.
    if (prompt.ends_with('\n')) prompt.pop_back();
  }
  const auto session = open_session(command.engine);
  if (!session.ok()) return report_error(session.error(), command.json);
  std::optional<ChatTemplate> chat;
  if (!command.raw) {
    auto found = chat_template_of(*(*session)->engine);
    if (!found.ok()) return report_error(found.error(), command.json);
    chat = std::move(*found);
  }
  Runner runner(command, **session, std::move(chat));
  int code = kExitOk;
  if (!command.prompts.empty())
    code = runner.answer_all(prompts);
  else
    code = talk ? runner.converse() : runner.answer_once(prompt);
  if (const Status status = report_profile(*(*session)->engine, command.engine);
      !status.ok() && code == kExitOk)
    return report_error(status.error(), command.json);
  return code;
}

}  // namespace tenon::app
