#include "core/format/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <limits>

#include "core/format/utf8.h"

namespace tenon {
namespace {

// White space as Unicode defines it; PCRE2's own \s also has U+180E, which no longer is one.
#define WS                                                                                        \
  "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{" \
  "205f}\\x{3000}"
#define SPACES_BUT_LAST "[" WS "]+(?![^" WS "])|[" WS "]+"

constexpr std::string_view kGpt2 =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" WS "\\p{L}\\p{N}]+|" SPACES_BUT_LAST;
constexpr std::string_view kDigit = "\\p{N}";
constexpr std::string_view kLlama3 =
    "'(?i:[sdmt]|re|ve|ll)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
    " ?[^" WS "\\p{L}\\p{N}]+[\\r\\n]*|[" WS "]*[\\r\\n]+|" SPACES_BUT_LAST;
constexpr std::string_view kQwen2 =
    "'(?i:[sdmt]|re|ve|ll)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
    " ?[^" WS "\\p{L}\\p{N}]+[\\r\\n]*|[" WS "]*[\\r\\n]+|" SPACES_BUT_LAST;
constexpr std::string_view kPunctuation = "[\\p{P}$+<=>^~|]+";
constexpr std::string_view kNumber = "\\p{N}+";
constexpr std::string_view kThreeDigits = "[0-9][0-9][0-9]";

#undef SPACES_BUT_LAST
#undef WS

const std::vector<PretokenizerRule>& rules() {
  static const std::vector<PretokenizerRule> kRules = {
      {"default", {kPunctuation, kGpt2, kNumber, kThreeDigits}, false, false},
      {"gpt-2", {kGpt2}, false, false},
      {"llama-bpe", {kLlama3}, true, true},
      {"qwen2", {kQwen2}, false, false},
      {"smollm", {kDigit, kGpt2}, false, false},
  };
  return kRules;
}

struct CodeFree {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct MatchFree {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct ContextFree {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

}  // namespace

const PretokenizerRule* find_pretokenizer_rule(std::string_view name) {
  for (const PretokenizerRule& rule : rules())
    if (rule.name == name) return &rule;
  return nullptr;
}

std::vector<std::string> pretokenizer_names() {
  std::vector<std::string> out;
  for (const PretokenizerRule& rule : rules()) out.emplace_back(rule.name);
  return out;
}

struct Pretokenizer::Pattern {
  std::unique_ptr<pcre2_code, CodeFree> code;
  std::unique_ptr<pcre2_match_context, ContextFree> context;

  // Cuts `text` (valid UTF-8) into matches and what is between them.
  void cut(std::string_view text, pcre2_match_data* data,
           std::vector<std::uint32_t>& lengths) const {
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data);
    std::size_t at = 0;
    while (at < text.size()) {
      const int found = pcre2_match(code.get(), subject, text.size(), at, PCRE2_NO_UTF_CHECK, data,
                                    context.get());
      // No pattern here matches the empty string. A matcher that gives up (it has no limit that
      // text can reach) leaves the rest as one piece.
      if (found <= 0 || ends[1] <= ends[0]) break;
      if (ends[0] > at) lengths.push_back(static_cast<std::uint32_t>(ends[0] - at));
      lengths.push_back(static_cast<std::uint32_t>(ends[1] - ends[0]));
      at = ends[1];
    }
    if (at < text.size()) lengths.push_back(static_cast<std::uint32_t>(text.size() - at));
  }
};

Pretokenizer::Pretokenizer(Pretokenizer&&) noexcept = default;
Pretokenizer& Pretokenizer::operator=(Pretokenizer&&) noexcept = default;
Pretokenizer::~Pretokenizer() = default;

Result<Pretokenizer> Pretokenizer::create(const PretokenizerRule& rule) {
  Pretokenizer out;
  out.rule_ = &rule;
  for (const std::string_view source : rule.patterns) {
    int code = 0;
    PCRE2_SIZE offset = 0;
    auto pattern = std::make_unique<Pattern>();
    pattern->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(),
                                      PCRE2_UTF | PCRE2_UCP, &code, &offset, nullptr));
    pattern->context.reset(pcre2_match_context_create(nullptr));
    if (!pattern->code || !pattern->context)
      return Error{.code = Code::kInternal,
                   .id = "TENON-F034",
                   .message = "a pre-tokenizer's pattern does not compile",
                   .where = std::string(rule.name) + "@" + std::to_string(offset),
                   .found = "PCRE2 error " + std::to_string(code),
                   .expected = "a PCRE2 with Unicode support",
                   .fix = "install a PCRE2 library built with Unicode"};
    // Matching only ever repeats single characters, so its work is linear in the run it looks at.
    pcre2_set_match_limit(pattern->context.get(), std::numeric_limits<std::uint32_t>::max());
    pcre2_jit_compile(pattern->code.get(), PCRE2_JIT_COMPLETE);  // without JIT it is only slower
    out.patterns_.push_back(std::move(pattern));
  }
  return out;
}

void Pretokenizer::split_valid(std::string_view text, std::vector<std::uint32_t>& lengths) const {
  const std::unique_ptr<pcre2_match_data, MatchFree> data(pcre2_match_data_create(1, nullptr));
  const std::size_t first = lengths.size();
  lengths.push_back(static_cast<std::uint32_t>(text.size()));
  if (!data) return;
  std::vector<std::uint32_t> cut;
  for (const auto& pattern : patterns_) {
    cut.clear();
    std::size_t at = 0;
    for (std::size_t i = first; i < lengths.size(); ++i) {
      pattern->cut(text.substr(at, lengths[i]), data.get(), cut);
      at += lengths[i];
    }
    lengths.resize(first);
    lengths.insert(lengths.end(), cut.begin(), cut.end());
  }
}

void Pretokenizer::split(std::string_view text, std::vector<std::uint32_t>& lengths) const {
  // Pieces have 32-bit lengths, and the patterns' memory follows the segment.
  constexpr std::size_t kLongest = std::size_t{1} << 30;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at, limit = std::min(text.size(), at + kLongest);
    const bool valid = utf8_length(text, at) != 0;
    while (at < limit) {
      const std::size_t length = utf8_length(text, at);
      if ((length != 0) != valid) break;
      at += valid ? length : 1;
    }
    if (valid)
      split_valid(text.substr(begin, at - begin), lengths);
    else
      lengths.push_back(static_cast<std::uint32_t>(at - begin));
  }
}

}  // namespace tenon
