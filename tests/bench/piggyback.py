#!/usr/bin/env python3
"""What a decode costs that rides on a chunk, against one in a step of decodes only.

  piggyback.py [--tenon build/release/bin/tenon] [--rounds 3] [options of replay-trace]

Replays, in turns, a prompt of 1024 tokens alone and beside 1, 4 and 8 answers, on apps/manifests/sarathi.textproto.
Steps are told apart by their rows and tokens, so nothing depends on when they ran. Prints medians over all rounds, of
time and of the process's CPU time. With --threads 1 nothing spins, and CPU time holds on a machine that is not quiet.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHUNK = 64  # apps/manifests/sarathi.textproto
DECODES = (1, 4, 8)


def trace(decodes, first_seed):
    rows = [{"id": f"answer-{i}", "arrival_s": 0, "prompt_tokens": 4, "seed": first_seed + i, "max_tokens": 80}
            for i in range(decodes)]
    rows.append({"id": "prompt", "arrival_s": 0, "prompt_tokens": 1024, "seed": first_seed + 99, "max_tokens": 1})
    return "".join(json.dumps(row) + "\n" for row in rows)


def steps_of(command, decodes, seed):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.write(trace(decodes, seed))
        file.flush()
        out = subprocess.run([*command, file.name], check=True, stdout=subprocess.PIPE).stdout
    arm = json.loads(out)["arms"][0]
    return arm, {(s["rows"], s["tokens"]): s for s in arm["steps_by_rows"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tenon", default=str(ROOT / "build/release/bin/tenon"))
    parser.add_argument("--rounds", type=int, default=3)
    known, more = parser.parse_known_args()
    command = [known.tenon, "replay-trace", "--manifest", str(ROOT / "apps/manifests/sarathi.textproto"), "--json", *more]
    times = {}  # (rows, tokens) -> {"median_s": one a round, "median_cpu_s": one a round}
    for round_ in range(known.rounds):
        for decodes in (0, *DECODES):
            arm, steps = steps_of(command, decodes, 1000 * round_ + 100 * decodes)
            for key in ([(CHUNK, 0)] if decodes == 0 else [(CHUNK + decodes, decodes), (decodes, decodes)]):
                for name in ("median_s", "median_cpu_s"):
                    times.setdefault(key, {}).setdefault(name, []).append(1e3 * steps[key][name])
    print(f"{arm['device']}, {arm['threads']} threads, {known.rounds} rounds; ms")
    for name in ("median_s", "median_cpu_s"):
        at = {key: statistics.median(values[name]) for key, values in times.items()}
        spread = times[CHUNK, 0][name]
        print(f"{name}: a chunk of {CHUNK} alone {at[CHUNK, 0]:.2f} [{min(spread):.2f} to {max(spread):.2f}]")
        print("  decodes  with chunk  by themselves  a decode: riding  by itself  ratio")
        for k in DECODES:
            riding, alone = (at[CHUNK + k, k] - at[CHUNK, 0]) / k, at[k, k] / k
            ratio = f"{alone / riding:.1f}" if riding > 0 else "-"
            print(f"  {k:7d} {at[CHUNK + k, k]:11.2f} {at[k, k]:14.2f} {riding:17.3f} {alone:10.3f} {ratio:>6}")


main()
