#!/usr/bin/env python3
"""Writes tests/fixtures/numerics/*.golden: what an independent implementation makes of the real models.

Run by hand when the reference changes:

    python3 tests/integration/golden.py SMOLLM2.gguf tests/fixtures/numerics/smollm2.golden
    python3 tests/integration/golden.py GEMMA.gguf tests/fixtures/numerics/gemma.golden

It needs the PyPI packages torch (a CPU build will do), transformers, accelerate, gguf and tokenizers; written with
torch 2.15.0, transformers 5.24.0, gguf 0.19.0. transformers reads the file itself: it dequantises the weights to
float32, puts the rows of Q and K back into its own order and computes in float32 with its eager attention. Tokens are
those of tokenizer_golden.py, which builds the tokenizer from the file's own vocabulary; where the file asks for a token
at the beginning, every text has it.

The file, one record a line; log-probabilities are natural:

    text IDS                            the tokens of a text, with commas
    at POSITION NEXT REST ID:LOGPROB..  of the last text, the distribution of the token at POSITION given those before it:
                                        the log-probability of the token that is there, of all tokens but the 16 most
                                        likely ones together, and of these 16, the most likely first
    greedy IDS IDS                      a prompt, and the 128 tokens that follow it when the most likely is taken each time
"""
import os
import sys

import gguf
import torch
from tokenizer_golden import reference, sentencepiece_reference
from transformers import AutoModelForCausalLM

TEXTS = os.path.join(os.path.dirname(__file__), "..", "fixtures", "numerics", "texts.txt")
# Tokens of each text, of which the last 16 are recorded: one text is longer than a page of 64.
LENGTHS = {"prose": 80, "code": 32, "chat": 32, "numbers": 32}
GREEDY_PLAIN = "The lighthouse keeper found an old map in the attic. The next morning"
GREEDY = ("<|im_start|>user\nTell me the story of a lighthouse keeper who finds a map.<|im_end|>\n"
          "<|im_start|>assistant\n")


def read_texts():
    texts = {}
    with open(TEXTS, encoding="utf-8") as file:
        for line in file:
            if line.startswith("=== "):
                name = line[4:].strip()
                texts[name] = ""
            else:
                texts[name] += line
    return texts


def tokens_of(model_path):
    """A function from a text to its tokens."""
    fields = gguf.GGUFReader(model_path).fields
    if fields["tokenizer.ggml.model"].contents() != "llama":
        return reference(model_path)[0]
    encode, _ = sentencepiece_reference(model_path)
    first = [fields["tokenizer.ggml.bos_token_id"].contents()]
    return lambda text: first + encode(text)


def greedy_prompt(model_path):
    """A question where the model has a chat template, else a text to go on with."""
    return GREEDY if "tokenizer.chat_template" in gguf.GGUFReader(model_path).fields else GREEDY_PLAIN


def load(model_path):
    folder, name = os.path.split(os.path.abspath(model_path))
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32,
                                                 attn_implementation="eager")
    return model.eval()


@torch.no_grad()
def log_probabilities(model, ids):
    """[len(ids) - 1, vocabulary] in float64: row i is the distribution of ids[i + 1]."""
    logits = model(torch.tensor([ids])).logits[0, :-1]
    return torch.log_softmax(logits.double(), -1)


@torch.no_grad()
def greedy(model, prompt, count):
    """The answer, and the smallest lead of a most likely token over the second."""
    ids, lead = list(prompt), float("inf")
    cache, new = None, torch.tensor([ids])
    for _ in range(count):
        out = model(new, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        values, order = out.logits[0, -1].topk(2)
        lead = min(lead, float(values[0] - values[1]))
        ids.append(int(order[0]))
        new = torch.tensor([[ids[-1]]])
    return ids[len(prompt):], lead


def number(value):
    return f"{float(value):.8g}"


def record(file, ids, rows):
    file.write("text " + ",".join(map(str, ids)) + "\n")
    for position in range(len(ids) - 16, len(ids)):
        row = rows[position - 1]
        values, order = row.topk(16)
        others = row.clone()
        others[order] = float("-inf")
        top = " ".join(f"{i}:{number(v)}" for v, i in zip(values, order))
        file.write(f"at {position} {number(row[ids[position]])} {number(others.logsumexp(0))} {top}\n")


def main():
    model_path, out = sys.argv[1:]
    encode, model, texts = tokens_of(model_path), load(model_path), read_texts()
    with open(out, "w", encoding="ascii") as file:
        for name, length in LENGTHS.items():
            ids = encode(texts[name])[:length]
            record(file, ids, log_probabilities(model, ids))
        prompt = encode(greedy_prompt(model_path))
        answer, lead = greedy(model, prompt, 128)
        file.write("greedy " + ",".join(map(str, prompt)) + " " + ",".join(map(str, answer)) + "\n")
    print(f"greedy: a most likely token leads by at least {lead:.3g}")


if __name__ == "__main__":
    main()
