#include "core/format/chat_template.h"

#include <gtest/gtest.h>

#include <vector>

namespace tenon {
namespace {

const std::vector<ChatMessage> kTalk = {{"system", "Be brief."}, {"user", "Hi"}};

std::string render(std::string_view source, const std::vector<ChatMessage>& messages = kTalk,
                   bool add_generation_prompt = true) {
  const Result<ChatTemplate> parsed = ChatTemplate::parse(source);
  if (!parsed.ok()) return parsed.error().to_string();
  const Result<std::string> out = parsed->render(messages, add_generation_prompt, "<s>", "</s>");
  return out.ok() ? *out : out.error().to_string();
}

Error error_of(std::string_view source, const ChatTemplateLimits& limits = {}) {
  Result<ChatTemplate> parsed = ChatTemplate::parse(source);
  if (!parsed.ok()) return parsed.take_error();
  Result<std::string> out = parsed->render(kTalk, true, "<s>", "</s>", limits);
  return out.ok() ? Error{.message = "no error: " + *out} : out.take_error();
}

// SmolLM2's template as its file has it.
constexpr std::string_view kChatMl =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
    "Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}";

TEST(ChatTemplate, ChatMl) {
  EXPECT_EQ(render(kChatMl),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\n");
  EXPECT_EQ(render(kChatMl, {{"user", "{{ x }}\n"}}, false),
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
            "Face<|im_end|>\n<|im_start|>user\n{{ x }}\n<|im_end|>\n");
  EXPECT_EQ(render(kChatMl, {}, false), "");
}

struct Case {
  std::string_view source, expected;
};

void expect_all(const std::vector<Case>& cases) {
  for (const Case& c : cases) EXPECT_EQ(render(c.source), c.expected) << c.source;
}

// The expectations here were checked against Jinja 3 with the settings that models use.
TEST(ChatTemplate, BlankSpace) {
  expect_all({{"a\n  {% if true %}\n  b\n  {% endif %}\nc", "a\n  b\nc"},
              {"a {%- if true -%} b {%- endif -%} c", "abc"},
              {"  {%+ if true %}x{% endif %}", "  x"},
              {"{% if true +%}\nx{% endif %}", "\nx"},
              {"  {{ 1 }}\n  {{ 2 }}\n", "  1\n  2"},
              {"a\n  {# note #}\nb", "a\nb"},
              {"a {#- note -#} b", "ab"},
              {"x\r\ny\n\n", "x\ny\n"},
              {"{% raw %}{{ x }}{% endraw %}!", "{{ x }}!"},
              {"{{ {'a': {'b': 1}}['a']['b'] }}", "1"}});
}

TEST(ChatTemplate, Operators) {
  expect_all(
      {{"{{ 1 + 2 * 3 - 4 // 3 % 2 }}", "6"},
       {"{{ 7 / 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 10 }}", "3.5 -4 2 1024"},
       {"{{ 'a' ~ 1 ~ none ~ true }}", "a1NoneTrue"},
       {"{{ 'ab' * 2 + 'c' }}", "ababc"},
       {"{{ 1 < 2 < 3 }} {{ 1 < 2 > 3 }}", "True False"},
       {"{{ 'a' in 'abc' }} {{ 1 not in [1, 2] }}", "True False"},
       {"{{ not 1 == 2 and true or false }}", "True"},
       {"{{ 'x' if false }}{{ 'y' if true else 'z' }}", "y"},
       {"{{ 1.0 }} {{ 1e20 }} {{ 0.1 + 0.2 }} {{ 1e-5 }}", "1.0 1e+20 0.30000000000000004 1e-05"},
       {"{{ [1, 'a', none, (1,), {'k': true}] }}", "[1, 'a', None, (1,), {'k': True}]"},
       {"{{ 1 == 1.0 }} {{ true == 1 }} {{ [1] == [1.0] }}", "True True True"}});
}

TEST(ChatTemplate, IndexesAndSlices) {
  expect_all({{"{{ messages[-1].content }}", "Hi"},
              {"{{ messages[1:]|length }} {{ messages[5] is defined }}", "1 False"},
              {"{{ 'h\xC3\xA9llo'[1] }} {{ 'h\xC3\xA9llo'[::-1] }}", "\xC3\xA9 oll\xC3\xA9h"},
              {"{{ 'hello'[1:3] }} {{ 'hello'[:-1] }} {{ 'hello'[-3:] }}", "el hell llo"},
              {"{{ [1, 2, 3, 4][::2] }} {{ [1, 2, 3][9:] }}", "[1, 3] []"},
              {"{{ {'a': 1}.a }} {{ {'a': 1}['b'] is undefined }}", "1 True"}});
}

TEST(ChatTemplate, LoopsAndScopes) {
  expect_all(
      {{"{% for x in [1, 2, 3] %}{{ loop.index0 }}{{ x }}{% if not loop.last %},{% endif %}"
        "{% endfor %}",
        "01,12,23"},
       {"{% for x in [] %}x{% else %}none{% endfor %}", "none"},
       {"{% for x in range(6) if x is odd %}{{ x }}/{{ loop.length }} {% endfor %}",
        "1/3 3/3 5/3 "},
       {"{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}", "a=1;b=2;"},
       {"{% for x in [1, 2, 3, 4] %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 4 %}"
        "{% break %}{% endif %}{{ x }}{% endfor %}",
        "13"},
       {"{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{% endfor %}{{ x }}", "1"},
       {"{% set ns = namespace(n=0) %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}{% endfor %}"
        "{{ ns.n }}",
        "3"},
       {"{% set a, b = 1, 2 %}{{ b }}{{ a }}", "21"},
       {"{% set x %}a{{ 1 }}{% endset %}[{{ x }}]", "[a1]"},
       {"{% set x | upper %}ab{% endset %}{{ x }}", "AB"},
       {"{% filter upper %}ab{% endfilter %}", "AB"},
       {"{% macro f(a, b='x') %}<{{ a }}{{ b }}>{% endmacro %}{{ f(1) }}{{ f(2, b=3) }}",
        "<1x><23>"},
       {"{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
        "3210"},
       {"{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined }}>"
        "{% endfor %}",
        ">system>"}});
}

TEST(ChatTemplate, FiltersAndTests) {
  expect_all(
      {{"{{ '  a '|trim }}|{{ 'ab'|length }}|{{ 'aB'|upper }}|{{ 'AB'|lower }}", "a|2|AB|ab"},
       {"{{ x|default('d') }} {{ ''|default('e', true) }} {{ none|default('f') }}", "d e None"},
       {"{{ [1, 2]|join(', ') }} {{ [3, 4]|first }} {{ [3, 4]|last }}", "1, 2 3 4"},
       {"{{ {'a': [1, 2.5, none, 'q\"\n<'], 'b': {}}|tojson }}",
        "{\"a\": [1, 2.5, null, \"q\\\"\\n<\"], \"b\": {}}"},
       {"{{ {'a': [1]}|tojson(indent=2) }}", "{\n  \"a\": [\n    1\n  ]\n}"},
       {"{{ messages|map(attribute='role')|list }}", "['system', 'user']"},
       {"{{ (messages|selectattr('role', 'equalto', 'user')|list)[0].content }}", "Hi"},
       {"{{ messages|rejectattr('role', 'eq', 'user')|map(attribute='content')|join }}",
        "Be brief."},
       {"{{ [3, 1, 2]|sort }} {{ {'b': 1, 'a': 2}|dictsort }}", "[1, 2, 3] [('a', 2), ('b', 1)]"},
       {"{{ 'a\nb'|indent(2) }} {{ '12'|int + 1 }} {{ 'x'|int }}", "a\n  b 13 0"},
       {"{{ messages is iterable }} {{ messages[0] is mapping }} {{ 'a' is string }} "
        "{{ none is none }} {{ x is undefined }} {{ 3 is divisibleby 3 }}",
        "True True True True True True"},
       {"{{ 1 is not none and 2 is number }}", "True"}});
}

TEST(ChatTemplate, Methods) {
  expect_all(
      {{"{{ ' a '.strip() }}{{ 'xax'.strip('x') }}{{ 'xa'.lstrip('x') }}", "aaa"},
       {"{{ 'a,b,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a,b,c'.split(',', 1)[1] }}",
        "['a', 'b', 'c'] ['a', 'b'] b,c"},
       {"{{ 'a,b,c'.rsplit(',', 1) }}", "['a,b', 'c']"},
       {"{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }}", "True True"},
       {"{{ 'aXbX'.replace('X', '-') }} {{ 'aa'.replace('a', 'b', 1) }}", "a-b- ba"},
       {"{{ 'ab'.upper() }} {{ 'a b'.title() }} {{ 'abc'.find('c') }}", "AB A B 2"},
       {"{{ {'a': 1}.get('a') }} {{ {'a': 1}.get('b', 5) }} {{ {'a': 1}.get('c') }}", "1 5 None"},
       {"{{ '{}-{1}'.format(1, 2) if false else '{}-{}'.format(1, 'b') }}", "1-b"},
       {"{{ ', '.join(['a', 'b']) }}", "a, b"}});
}

TEST(ChatTemplate, SyntaxErrorsSayTheLine) {
  const std::vector<std::pair<std::string_view, std::string_view>> cases = {
      {"a\n{{ 1 + }}", ":2"},
      {"\n\n{% if x %}", ":3"},
      {"{{ 'abc }}", ":1"},
      {"{% for x y %}", ":1"},
      {"{# never", ":1"},
      {"{{ 1", ":1"},
      {"\n{{ a b }}", ":2"},
      {"{% endif %}", ":1"},
      {"{{ a[1:2:3:4] }}", ":1"},
      {"{% break %}", ":1"},
      {"{{ 99999999999999999999 }}", ":1"},
      {"{{ ; }}", ":1"},
      {"{% raw %}x", ":1"},
      {"{{ f(a=1, 2) }}", ":1"},
      {"{% set = 1 %}", ":1"}};
  for (const auto& [source, line] : cases) {
    const Error error = error_of(source);
    EXPECT_TRUE(error.id == "TENON-F040" || error.id == "TENON-F043") << source << error.id;
    EXPECT_NE(error.where.find(line), std::string::npos) << source << " " << error.where;
  }
}

TEST(ChatTemplate, AZeroByteIsText) {
  using namespace std::string_literals;
  EXPECT_EQ(render("a{\0{{ 1 }}"s), "a{\0"s + "1");
  EXPECT_EQ(error_of("{{ \0 }}"s).id, "TENON-F040");
}

TEST(ChatTemplate, ErrorsHaveTheirIds) {
  const std::vector<std::pair<std::string_view, std::string_view>> cases = {
      {"{{ nothing.field }}", "TENON-F041"},
      {"{{ nothing + 1 }}", "TENON-F041"},
      {"{{ nothing() }}", "TENON-F041"},
      {"{{ strftime_now('%d') }}", "TENON-F041"},
      {"{{ 'a' + 1 }}", "TENON-F042"},
      {"{{ 1 // 0 }}", "TENON-F042"},
      {"{{ 9223372036854775807 + 1 }}", "TENON-F042"},
      {"{{ 'a' < 1 }}", "TENON-F042"},
      {"{% for x in 5 %}{% endfor %}", "TENON-F042"},
      {"{% set a, b = [1] %}", "TENON-F042"},
      {"{% set messages[0].role = 1 %}", "TENON-F040"},
      {"{% set m = {} %}{% set m.x = 1 %}", "TENON-F042"},
      {"{% macro f() %}{% endmacro %}{{ f(1) }}", "TENON-F042"},
      {"{{ 1|nofilter }}", "TENON-F043"},
      {"{{ 1 is notest }}", "TENON-F043"},
      {"{{ [].append(1) }}", "TENON-F043"},
      {"{{ ''.__class__() }}", "TENON-F043"},
      {"{% include 'x' %}", "TENON-F043"},
      {"{{ range(1000000) }}", "TENON-F045"},
      {"{{ raise_exception('no') }}", "TENON-F047"}};
  for (const auto& [source, id] : cases)
    EXPECT_EQ(error_of(source).id, id) << source << ": " << error_of(source).to_string();
  EXPECT_NE(error_of("{{ raise_exception('roles must alternate') }}")
                .message.find("roles must alternate"),
            std::string::npos);
  EXPECT_NE(error_of("{{ 1|trimm }}").fix.find("trim"), std::string::npos);
}

TEST(ChatTemplate, LimitsHold) {
  const ChatTemplateLimits small = {.steps = 10000, .output_bytes = 1000, .memory_bytes = 100000};
  const std::string loops =
      "{% for a in range(99) %}{% for b in range(99) %}{% for c in range(99) %}"
      "{% endfor %}{% endfor %}{% endfor %}";
  EXPECT_EQ(error_of(loops, {.steps = 10000}).id, "TENON-F044");
  EXPECT_EQ(error_of("{% for a in range(999) %}xxxxxxxx{% endfor %}", small).id, "TENON-F045");
  EXPECT_EQ(error_of("{{ 'x' * 1000000000000 }}", small).id, "TENON-F045");
  EXPECT_EQ(error_of("{{ ('x' * 90000).replace('x', 'yyyyyy') }}", small).id.substr(0, 9),
            "TENON-F04");
  const std::string doubling =
      "{% set n = namespace(s='x') %}{% for a in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}";
  EXPECT_EQ(error_of(doubling).id, "TENON-F045");
  EXPECT_EQ(error_of("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}").id, "TENON-F046");
  EXPECT_EQ(error_of("{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}").id,
            "TENON-F046");
  EXPECT_EQ(error_of("{{ " + std::string(5000, '-') + "1 }}").id, "TENON-F046");
  std::string sum = "{{ 1";
  for (int i = 0; i < 100000; ++i) sum += "+1";
  EXPECT_EQ(error_of(sum + " }}").id, "TENON-F046");
}

TEST(ChatTemplate, ValuesThatHoldThemselves) {
  EXPECT_EQ(render("{% set n = namespace() %}{% set n.x = n %}{{ n == n.x }}{{ (n|string)[:4] }}"),
            "True{'x'");
  // Comparing two towers of shared lists would take 2^26 steps.
  const std::string tower =
      "{% set n = namespace(a=[1], b=[1]) %}{% for i in range(25) %}{% set n.a = [n.a, n.a] %}"
      "{% set n.b = [n.b, n.b] %}{% endfor %}{{ n.a == n.b }}";
  EXPECT_EQ(error_of(tower).id, "TENON-F044");
}

}  // namespace
}  // namespace tenon
