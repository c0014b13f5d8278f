"""Makes LoRA adapters with PEFT, for tests and measurements.

  lora_peft.py tiny OUT                 for the tiny Llama-shaped model of core/conform/tiny_model.h
  lora_peft.py model.gguf OUT [options] for a real model
  lora_peft.py score model.gguf ADAPTER text.txt
                                        log-probability of each token of the text, by PEFT's own forward pass

Options: --rank R, --targets q_proj,v_proj (or all-linear), --seed N, --rslora. The factors are random: B too, so that
an adapter changes something. tests/fixtures/lora/tiny is `tiny OUT --rank 2 --targets q_proj,down_proj`.
Packages: torch, transformers, peft, gguf. Nothing is fetched.
"""
import argparse
import json
import os
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

TINY = dict(hidden_size=96, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1, head_dim=32,
            intermediate_size=160, tie_word_embeddings=True)


def load(path):
    folder, name = os.path.split(os.path.abspath(path))
    return AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()


def make(model, out, args):
    targets = args.targets if args.targets == "all-linear" else args.targets.split(",")
    torch.manual_seed(args.seed)
    config = LoraConfig(r=args.rank, lora_alpha=2 * args.rank, target_modules=targets, use_rslora=args.rslora,
                        task_type="CAUSAL_LM")
    adapted = get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, args.strength)
    adapted.save_pretrained(out)
    card = os.path.join(out, "README.md")
    if os.path.exists(card):
        os.remove(card)


def score(args):
    from transformers import AutoTokenizer
    folder, name = os.path.split(os.path.abspath(args.out))
    model = PeftModel.from_pretrained(load(args.out), args.adapter).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    ids = tokenizer(open(args.text, encoding="utf-8").read(), add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].double()
    logprobs = torch.log_softmax(logits, -1)
    print(json.dumps([{"id": i, "logprob": logprobs[t, i].item()} for t, i in enumerate(ids[1:])]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("adapter", nargs="?")
    parser.add_argument("text", nargs="?")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--targets", default="q_proj,v_proj")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--strength", type=float, default=0.02)
    parser.add_argument("--rslora", action="store_true")
    args = parser.parse_args()
    if args.model == "score":
        return score(args)
    if args.model == "tiny":
        return make(LlamaForCausalLM(LlamaConfig(vocab_size=300, **TINY)), args.out, args)
    return make(load(args.model), args.out, args)


if __name__ == "__main__":
    sys.exit(main())
