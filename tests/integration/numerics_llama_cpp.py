#!/usr/bin/env python3
"""Measures llama.cpp against the data of numerics_reference.py: mean KL(reference || llama.cpp) and top-1 agreement.

    python3 tests/integration/numerics_llama_cpp.py MODEL.gguf reference.bin

It needs the PyPI package llama-cpp-python; measured with 0.3.36. Context, batch and threads apart, everything is
llama.cpp's default: activations are rounded to int8 in groups of 32, the cache is f16. Each text is evaluated twice,
as one batch and token by token, because llama.cpp has other kernels for either.
"""
import sys

import llama_cpp
import numpy
from numerics_reference import read


def log_softmax(logits):
    x = logits.astype(numpy.float64)
    x -= x.max(axis=-1, keepdims=True)
    return x - numpy.log(numpy.exp(x).sum(axis=-1, keepdims=True))


def scores(llama, ids, step):
    """[len(ids) - 1, vocabulary] logits, evaluating `step` tokens at a time."""
    llama.reset()
    for first in range(0, len(ids), step):
        llama.eval(ids[first:first + step])
    return numpy.array(llama.scores[:len(ids) - 1])


def compare(rows, ours):
    """(KL, same top token) of each position."""
    p, q = log_softmax(rows), log_softmax(ours)
    return (numpy.exp(p) * (p - q)).sum(axis=-1), rows.argmax(axis=-1) == ours.argmax(axis=-1)


def main():
    model_path, reference = sys.argv[1:]
    llama = llama_cpp.Llama(model_path, n_ctx=1024, n_batch=1024, n_threads=2, n_threads_batch=2,
                            logits_all=True, verbose=False)
    for name, step in (("one batch", 1024), ("token by token", 1)):
        kl, same = [], []
        for ids, rows in read(reference):
            text_kl, text_same = compare(rows, scores(llama, ids, step))
            kl.append(text_kl)
            same.append(text_same)
            print(f"  text of {len(ids)} tokens: mean KL {text_kl.mean():.4g}, top-1 {text_same.mean():.4f}")
        kl, same = numpy.concatenate(kl), numpy.concatenate(same)
        print(f"llama.cpp, {name}: {len(kl)} positions, mean KL {kl.mean():.4g}, most {kl.max():.3g}, "
              f"top-1 {same.mean():.4f}")


if __name__ == "__main__":
    main()
