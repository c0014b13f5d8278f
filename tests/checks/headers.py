#!/usr/bin/env python3
"""Checks that every header of the SDK compiles alone: tenon/abi as C11 and as C++20, tenon/sdk as C++20.

  headers.py [COMPILER VERSION SUFFIX...]   e.g. -12 for gcc-12 and clang-12; default: gcc and the clang of the tree
"""
import concurrent.futures
import os
import shutil
import subprocess
import sys

from tree import ROOT, finish, tracked

INCLUDE = "sdk/include"
FLAGS = ["-fsyntax-only", "-Wall", "-Wextra", "-pedantic", "-Werror", "-I" + INCLUDE, "-x"]
PAIRS = [("gcc", "g++"), ("clang-14", "clang++-14")]


def commands(pairs):
    for header in tracked(".h", ".hpp"):
        if not header.startswith(INCLUDE + "/"):
            continue
        name = header[len(INCLUDE) + 1:]
        for c, cxx in pairs:
            if header.endswith(".h"):
                yield name, [c, "-std=c11", *FLAGS, "c", "-"]
            yield name, [cxx, "-std=c++20", *FLAGS, "c++", "-"]


def compile_alone(job):
    name, command = job
    run = subprocess.run(command, input=f'#include "{name}"\n', text=True, capture_output=True, cwd=ROOT, check=False)
    return f"{name} with {command[0]} {command[1]}:\n{run.stderr}" if run.returncode else None


def main():
    wanted = [(f"gcc{v}", f"g++{v}") for v in sys.argv[1:]] + [(f"clang{v}", f"clang++{v}") for v in sys.argv[1:]]
    pairs = [pair for pair in wanted or PAIRS if shutil.which(pair[1])]
    jobs = list(commands(pairs))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = [problem for problem in pool.map(compile_alone, jobs) if problem]
    print(f"{len(jobs)} compilations with {', '.join(c for c, _ in pairs)}")
    if not jobs:
        problems.append("there is nothing to compile with")
    finish("headers", problems)


if __name__ == "__main__":
    main()
