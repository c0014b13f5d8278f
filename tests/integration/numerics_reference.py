#!/usr/bin/env python3
"""Writes the independent implementation's distributions for all positions of tests/fixtures/numerics/texts.txt.

    python3 tests/integration/numerics_reference.py MODEL.gguf reference.bin
    TENON_NUMERICS_REFERENCE=reference.bin ctest --test-dir build -R integration.numerics -V

The file is some 250 MB and is not kept in the tree. Packages and implementation are those of golden.py.

    bytes  "TNREF1\\0\\0"
    int32  number of texts, vocabulary
    for each text: int32 number of tokens n; int32[n] tokens; float32[n - 1, vocabulary] natural log-probabilities: row i
    is the distribution of token i + 1, given those before it

Little endian.
"""
import sys

import numpy

MAGIC = b"TNREF1\0\0"


def read(path):
    """The texts as (tokens, rows), one after the other."""
    with open(path, "rb") as file:
        assert file.read(8) == MAGIC, f"{path} is not a reference file"
        texts, vocabulary = numpy.fromfile(file, numpy.int32, 2)
        for _ in range(texts):
            (n,) = numpy.fromfile(file, numpy.int32, 1)
            ids = numpy.fromfile(file, numpy.int32, n)
            rows = numpy.fromfile(file, numpy.float32, (n - 1) * vocabulary)
            yield ids.tolist(), rows.reshape(n - 1, vocabulary)


def main():
    from golden import load, log_probabilities, read_texts, tokens_of

    model_path, out = sys.argv[1:]
    encode, model = tokens_of(model_path), load(model_path)
    texts = [encode(text) for text in read_texts().values()]
    with open(out, "wb") as file:
        file.write(MAGIC)
        for number, ids in enumerate(texts):
            rows = log_probabilities(model, ids).float().numpy()
            if number == 0:
                numpy.array([len(texts), rows.shape[1]], numpy.int32).tofile(file)
            numpy.array([len(ids)] + ids, numpy.int32).tofile(file)
            rows.tofile(file)
            print(f"{len(ids) - 1} positions")


if __name__ == "__main__":
    main()
