#!/usr/bin/env python3
"""Writes tests/fixtures/tokenizer/NAME.golden: what other implementations make of many texts.

Run by hand when the reference changes:

    python3 tests/integration/tokenizer_golden.py MODEL.gguf tests/fixtures/tokenizer/NAME.golden

For smollm2.golden it needs the PyPI packages `gguf` and `tokenizers`. The reference tokenizer is
built from the file's vocabulary and merges with the pre-tokenizer that `tokenizer.ggml.pre`
"smollm" stands for: digits one by one, then the GPT-2 pattern.

For gemma.golden it needs `gguf`, `llama-cpp-python`, which is the reference, and `sentencepiece`
with `protobuf`: a model for it is made of the file's vocabulary, and texts without control tokens
must come out the same there (control tokens it never reads from text).

Texts are drawn from a fixed seed. One line a text: the text in hex, a space, the ids in decimal
with commas.
"""
import random
import sys

import gguf

COUNT = 5200
SCRIPTS = {
    "latin": [(0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F)],
    "greek": [(0x391, 0x3A1), (0x3B1, 0x3C9)],
    "cyrillic": [(0x410, 0x44F)],
    "hebrew": [(0x5D0, 0x5EA)],
    "arabic": [(0x621, 0x63A), (0x641, 0x652)],
    "devanagari": [(0x904, 0x939), (0x93E, 0x94D)],
    "thai": [(0xE01, 0xE3A), (0xE40, 0xE4E)],
    "hangul": [(0xAC00, 0xD7A3)],
    "kana": [(0x3041, 0x3096), (0x30A1, 0x30FA)],
    "han": [(0x4E00, 0x9FA5)],
    "ethiopic": [(0x1200, 0x1248)],
    "mathematical": [(0x2200, 0x22FF), (0x1D400, 0x1D454)],
    "emoji": [(0x1F600, 0x1F64F), (0x1F300, 0x1F5FF), (0x2600, 0x26FF)],
}
NUMBERS = "0123456789٠١٢३४५Ⅷ½²①௧"
SPACES = [" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", " \n", "\u00a0", "\u2003", "\u3000", "\u2028",
          "\u0085", "\u180e", "\u200b", "\x0b", "\x0c", "\x1c", "        "]
ENGLISH = ("the of and to in is was he for it with as his on be at by I this had not are but from "
           "or have an they which one you were all her she there would their we him been has when "
           "who will no more if out so said what up its about into than them can only other time "
           "new some could these two may first then do any like my now over such our man me even "
           "most made after also did many before must through back years where much your way well "
           "down should because each just those people mister how too little state good very make "
           "world still own see men work long here get both between life being under three never "
           "transformer quantisation Hello WORLD iPhone eBay camelCase snake_case").split()
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'LL", "\u2019s", "''s", "'x"]
CODE = ["int main(void) { return 0; }", "def f(x):\n    return x**2\n", "if (a != b && c) {\n\t++i;\n}",
        "std::vector<int> v{1, 2, 3};", "SELECT * FROM t WHERE a = 'b';", "<div class=\"x\">y</div>",
        "{\"key\": [1, null, true], \"s\": \"\\u00e9\"}", "for i in range(10):\n        print(i)",
        "https://example.org/a?b=c&d=%20#e", "$ ls -la | grep '^d'", "\\frac{a}{b} = \\sum_{i=0}^n x_i",
        "0x1F + 0b101 - 1e-10 / 3.14159", "#include <cstdint>", "// ----------- //", "/* ***** */"]
PUNCTUATION = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + ["...", "--", "—", "«", "»", "„", "…", "!!!",
                                                             "?!", "==", "->", "::", "€", "£", "¥"]
EMOJI = ["👩\u200d👩\u200d👧", "🏳️\u200d🌈", "👍🏽", "🇩🇪", "❤️", "1️⃣", "🦙"]


def special_tokens(texts, types):
    return [text for text, kind in zip(texts, types) if kind in (3, 4)]


def sentencepiece_model(fields):
    """An encoder of the sentencepiece package with the file's vocabulary."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2 as pb
    texts, types, scores = (fields["tokenizer.ggml." + key].contents() for key in ("tokens", "token_type", "scores"))
    unknown = fields["tokenizer.ggml.unknown_token_id"].contents()
    model = pb.ModelProto()
    for i, (text, kind, score) in enumerate(zip(texts, types, scores)):
        # Text is marked before user-defined pieces are looked for.
        model.pieces.add(piece=text.replace(" ", "\u2581") if kind == 4 else text, score=score,
                         type=2 if i == unknown else kind)
    model.trainer_spec.model_type = pb.TrainerSpec.BPE
    model.trainer_spec.byte_fallback = True
    model.trainer_spec.unk_piece = texts[unknown]
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = fields["tokenizer.ggml.add_space_prefix"].contents()
    model.normalizer_spec.remove_extra_whitespaces = False
    return sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString()).encode


def sentencepiece_reference(path):
    import llama_cpp
    fields = gguf.GGUFReader(path).fields
    texts = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    control = [text for text, kind in zip(texts, types) if kind == 3]
    model = llama_cpp.Llama(path, vocab_only=True, verbose=False)
    second = sentencepiece_model(fields)

    def encode(text):
        ids = model.tokenize(text.encode("utf-8"), add_bos=False, special=True)
        if not any(token in text for token in control) and second(text) != ids:
            # Beside a space, U+2581 is part of a run of spaces in one and not in the other.
            assert "\u2581" in text, text
            print("sentencepiece differs:", repr(text), ids, second(text), file=sys.stderr)
        return ids

    # Most control tokens of Gemma are <unused...>.
    special = [text for text, kind in zip(texts, types) if kind == 4] + control[:12] + control[-4:] + [
        text for text in control if "turn" in text]
    return encode, special


def runs(rng):
    """Runs of one character, which SentencePiece vocabularies have tokens for."""
    if rng.random() < 0.1:
        return "\u2581"
    return rng.choice(["\n", " ", "\t", "-", "=", "a"]) * rng.choice([2, 3, 5, 17, 31, 32, 33, 40])


def reference(path):
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    fields = gguf.GGUFReader(path).fields
    texts = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"
    tokenizer = Tokenizer(models.BPE({text: i for i, text in enumerate(texts)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ])
    special = special_tokens(texts, types)
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in special])
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids, special


def character(rng, ranges):
    low, high = rng.choice(ranges)
    return chr(rng.randint(low, high))


def word(rng):
    kind = rng.random()
    if kind < 0.45:
        text = rng.choice(ENGLISH)
        return text.upper() if rng.random() < 0.1 else text.capitalize() if rng.random() < 0.2 else text
    if kind < 0.75:
        ranges = SCRIPTS[rng.choice(list(SCRIPTS))]
        return "".join(character(rng, ranges) for _ in range(rng.randint(1, 8)))
    if kind < 0.85:
        return "".join(rng.choice(NUMBERS) for _ in range(rng.randint(1, 7)))
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(1, 12)))


def part(rng, special):
    kind = rng.random()
    if kind < 0.45:
        return word(rng)
    if kind < 0.60:
        return rng.choice(SPACES) * rng.choice([1, 1, 1, 2, 3])
    if kind < 0.72:
        return rng.choice(PUNCTUATION) * rng.choice([1, 1, 1, 2, 5])
    if kind < 0.79:
        return rng.choice(CONTRACTIONS)
    if kind < 0.83:
        return rng.choice(EMOJI)
    if kind < 0.86:
        return chr(rng.randint(0, 31)) * rng.choice([1, 1, 2])
    if kind < 0.89:
        return rng.choice(special)
    if kind < 0.91:
        return rng.choice(special)[:-1]
    if kind < 0.94:
        return rng.choice(CODE)
    # Any assigned or unassigned character of the planes in use.
    code = rng.choice([rng.randint(0, 0x2FFF), rng.randint(0xA000, 0xD7FF), rng.randint(0xE000, 0x1FFFF)])
    return chr(code)


def text_of(rng, special, number):
    if number < len(CODE):
        return CODE[number]
    if number < len(CODE) + len(special):
        return special[number - len(CODE)]
    count = rng.choice([1, 1, 2, 2, 3, 4, 6, 9])
    glue = rng.choice(["", "", " ", " "])
    return glue.join(part(rng, special) for _ in range(count))


def text_with_runs(rng, special, number):
    text = text_of(rng, special, number)
    return text + runs(rng) + part(rng, special) if number % 9 == 8 else text


def main():
    model, out = sys.argv[1:]
    pieces = gguf.GGUFReader(model).fields["tokenizer.ggml.model"].contents() == "llama"
    encode, special = sentencepiece_reference(model) if pieces else reference(model)
    rng = random.Random(20240607)
    seen = set()
    with open(out, "w", encoding="ascii") as file:
        number = 0
        while len(seen) < COUNT:
            text = (text_with_runs if pieces else text_of)(rng, special, number)
            number += 1
            raw = text.encode("utf-8")
            if text in seen or len(raw) > 120:
                continue
            seen.add(text)
            ids = encode(text)
            file.write(raw.hex() + " " + ",".join(map(str, ids)) + "\n")


if __name__ == "__main__":
    main()
