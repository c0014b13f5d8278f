#!/usr/bin/env python3
"""Does what docs/author/tutorial.md says, from an empty folder, with a moved installation.

  tutorial.py BUILD_FOLDER

A fence with a language and a path is a file; several with one path follow each other. A fence `sh` is run, all of them in one
shell; a fence `output` lists texts that the one before it must have printed. Other fences are not run.
"""
import os
import pathlib
import re
import subprocess
import sys

from installed import ROOT, call, clean_environment, moved_installation

PAGE = ROOT / "docs/author/tutorial.md"
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)
MARK = "end-of-block-"


def steps(page):
    """(what, argument, text): file with its path, sh, or output."""
    for info, text in FENCE.findall(page):
        words = info.split()
        if len(words) == 2:
            yield "file", words[1], text
        elif words in (["sh"], ["output"]):
            yield words[0], None, text


def script_of(page):
    """One shell script, and for each block of commands what it must print."""
    lines, seen, expected = ["set -e"], set(), []
    for what, path, text in steps(page):
        if what == "file":
            lines.append(f"mkdir -p $(dirname {path})\ncat {'>>' if path in seen else '>'} {path} <<'END-OF-FILE'\n{text}END-OF-FILE")
            seen.add(path)
        elif what == "sh":
            lines.append(f"{text}echo {MARK}{len(expected)}")
            expected.append([])
        else:
            expected[-1] += text.splitlines()
    assert seen and any(expected), "the page has changed its form"
    return "\n".join(lines), expected


def check(build, prefix, work):
    models = work.parent / "models"
    call([build / "bin/write_tiny_model", models], work, work)
    script, expected = script_of(PAGE.read_text())
    environment = clean_environment(work) | {"SDK": str(prefix), "MODEL": str(models / "tiny.gguf"),
                                             "CXXFLAGS": "-Werror"}
    environment["PATH"] = f"{prefix}/bin{os.pathsep}{environment['PATH']}"
    ran = subprocess.run(["bash", "-c", script], cwd=work, env=environment, text=True, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, check=False)
    assert ran.returncode == 0, f"exit code {ran.returncode}:\n{ran.stdout}"
    blocks = re.split(rf"^{MARK}\d+\n", ran.stdout, flags=re.M)
    assert len(blocks) == len(expected) + 1, ran.stdout
    for block, texts in zip(blocks, expected):
        for text in texts:
            assert text in block, f"\"{text}\" is not in\n{block}"
    print(f"tutorial: good ({len(expected)} blocks of commands)")


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    with moved_installation(build) as (prefix, work):
        check(build, prefix, work)


if __name__ == "__main__":
    main()
