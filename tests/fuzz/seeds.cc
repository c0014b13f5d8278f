// `fuzz_seeds DIR` writes DIR/gguf, DIR/tokenizer, DIR/safetensors and DIR/chat_template.
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "core/conform/gguf_writer.h"
#include "core/conform/sentence_vocabulary.h"
#include "core/conform/synthetic_vocabulary.h"
#include "tests/unit/format/safetensors_writer.h"

namespace {

void write(const std::filesystem::path& folder, const std::string& name, std::string_view bytes) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / name, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

std::string with_text(const std::string& file, std::string_view text) {
  const auto split = static_cast<std::uint32_t>(file.size());
  std::string out(sizeof split, '\0');
  std::memcpy(out.data(), &split, sizeof split);
  return out.append(file).append(text);
}

constexpr std::string_view kTemplates[] = {
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}x{% endif %}"
    "{{ '<' + m.role + '>\\n' + m['content'] | trim + '\\u00e9' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ bos_token }}{% endif %}",
    "{%- set ns = namespace(n=0, s='') -%}{%- for k, v in {'a': 1, 'b': [1, 2.5, none]}.items() "
    "if v is defined %}{% set ns.n = ns.n + 1 %}{{ k ~ v | tojson(indent=2) }}{%- else -%}{% "
    "endfor %}",
    "{% macro f(a, b='x') %}{{ a|upper }}{{ b[::-1] }}{% endmacro %}{{ f('q') }}{{ f(1, b='yz') }}"
    "{% set x | indent(2) %}a\nb{% endset %}{{ x.split('\\n') | join(', ') }}",
    "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list }}"
    "{{ range(10) | sort(reverse=true) | first }}{{ 'a,b'.split(',', 1)[-1] }}{# c #}",
    "{{ 'x' if messages[0].content is string and 1 < 2 <= 3 else raise_exception('no') }}"
    "{{ '{}'.format(7 // 2 ** 2 % 3) }}{% raw %}{{ }}{% endraw %}{{ -1 | abs }}",
};

}  // namespace

int main(int count, char** arguments) {
  const std::filesystem::path root = count > 1 ? arguments[1] : "seeds";
  tenon::SyntheticVocabulary vocabulary;
  write(root / "gguf", "sample", tenon::sample_gguf().bytes());
  write(root / "gguf", "vocabulary", vocabulary.gguf());
  for (const char* pre : {"default", "gpt-2", "llama-bpe", "qwen2", "smollm"}) {
    vocabulary.pre = pre;
    write(root / "tokenizer", pre,
          with_text(vocabulary.gguf(), "hello h\xC3\xA9 12 <|im_end|>\xFF<tool>call  \n"));
  }
  tenon::SentenceVocabulary pieces;
  write(root / "gguf", "sentence_vocabulary", pieces.gguf());
  for (const bool prefix : {false, true}) {
    pieces.flags = {{"add_space_prefix", prefix}};
    write(root / "tokenizer", prefix ? "spm-prefix" : "spm",
          with_text(pieces.gguf(), "hello \xE2\x96\x81h\xC3\xA9t <s>aaaa\xFF<tool>w   \n\n"));
  }
  write(root / "safetensors", "sample", tenon::sample_safetensors());
  write(root / "safetensors", "empty", tenon::safetensors_bytes("{}", 0));
  write(root / "safetensors", "gap",
        tenon::safetensors_bytes(
            R"({"\u0074":{"dtype":"F8_E4M3","shape":[1,3],"data_offsets":[1,4]}})", 4));
  int number = 0;
  for (const std::string_view source : kTemplates)
    write(root / "chat_template", std::to_string(number++), source);
  return 0;
}
