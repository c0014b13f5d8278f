#!/usr/bin/env python3
"""The SDK as somebody meets it who has nothing of this repository: installed, moved, used from an empty folder.

  consumer.py BUILD_FOLDER [--compiler NAME]... [--host-build FOLDER] [--without-host]

1. What is installed, and that it can be moved.
2. The plugins of the tree build against the installation alone.
3. Every template with every compiler: `tenon new`, configure, build, its tests, `tenon inspect`, `tenon manifest check`, and
   runs on random models whose answers must be those of the plugin that the template names as its oracle; `tenon conform`.
4. The same libraries in a host that another compiler built (in FOLDER, kept between runs).
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import installed
from installed import ROOT, call, moved_installation

COMPILERS = [("gcc-11", "g++-11"), ("gcc-12", "g++-12"), ("clang-14", "clang++-14"), ("clang-19", "clang++-19")]
HOST_COMPILER = ("clang-19", "clang++-19")
KINDS_IN_C = ("attention", "scheduler")
# What a template must equal, by its kind; the backend's numbers are its own.
ORACLES = {"scheduler": "tenon.scheduler.fcfs", "attention": "tenon.attention.dense", "cache": "tenon.cache.prefix",
           "adapter": "tenon.adapter.lora", "parallelism": "tenon.parallelism.tp", "comm": "tenon.comm.inproc",
           "model": "tenon.model.decoder", "backend": "tenon.backend.reference"}
BACKEND_TOLERANCE = 2e-4  # of log-probabilities, f32 against doubles on the random models
STARTED = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - STARTED:5.0f} s] {text}", flush=True)


def found_compilers(wanted):
    pairs = [pair for pair in COMPILERS if not wanted or pair[0] in wanted]
    found = [pair for pair in pairs if all(shutil.which(name) for name in pair)]
    for pair in pairs:
        if pair not in found:
            say(f"SKIPPED: {pair[0]}, which is not installed (Debian: apt-get install {pair[0]} {pair[1]})")
    assert found, "no compiler"
    return found


class Project:
    """A project that `tenon new` made."""

    def __init__(self, tenon, work, kind, language):
        self.kind = kind
        self.name = f"my-{kind}" + ("-c" if language == "c" else "")
        self.id = f"org.example.{self.name}"
        made = json.loads(call([tenon, "new", kind, self.name, "--lang", language, "--json"], work, work))
        assert made["folder"] == self.name and made["id"] == self.id, made
        self.folder = work / self.name

    def library(self, compiler):
        return self.folder / f"build-{compiler}" / f"{self.name}.so"

    def manifest(self, compiler, name, *changes):
        """A manifest beside the example, with the library of that compiler, and changed."""
        text = (self.folder / "manifest.example.textproto").read_text()
        text = text.replace(f"build/{self.name}.so", f"build-{compiler}/{self.name}.so")
        for pattern, replacement in changes:
            text, count = re.subn(pattern, replacement, text)
            assert count == 1, f"{pattern} matches {count} times in\n{text}"
        path = self.folder / f"{name}-{compiler}.textproto"
        path.write_text(text)
        return path


def build(project, pair, prefix, work):
    """Builds and tests with one compiler, all warnings being errors."""
    c, cxx = pair
    folder = project.folder / f"build-{c}"
    call(["cmake", "-S", project.folder, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
          f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_C_COMPILER={c}", f"-DCMAKE_CXX_COMPILER={cxx}", "-Wno-dev",
          "-DCMAKE_C_FLAGS=-Werror", "-DCMAKE_CXX_FLAGS=-Werror", "--no-warn-unused-cli"], work, work)
    call(["cmake", "--build", folder, "-j1"], work, work)
    call(["ctest", "--test-dir", folder, "--output-on-failure", "--no-tests=error"], work, work)


def tree_plugins_build(prefix, work):
    """The plugins of the tree, copied away from it."""
    folder = work / "tree"
    plugins = sorted(path.parent for path in (ROOT / "plugins").rglob("plugin.textproto"))
    for plugin in plugins:
        shutil.copytree(plugin, folder / plugin.relative_to(ROOT / "plugins"), ignore=shutil.ignore_patterns("tests"))
    lines = "".join(f"add_subdirectory({plugin.relative_to(ROOT / 'plugins')})\n" for plugin in plugins)
    (folder / "CMakeLists.txt").write_text(f"""cmake_minimum_required(VERSION 3.25)
project(tree LANGUAGES C CXX)
find_package(TenonSDK 0.1 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
{lines}""")
    call(["cmake", "-S", folder, "-B", folder / "build", "-G", "Ninja", "-DCMAKE_CXX_FLAGS=-O0", f"-DCMAKE_PREFIX_PATH={prefix}"],
         work, work)
    call(["cmake", "--build", folder / "build"], work, work)
    built = len(list((folder / "build").glob("*.so")))
    assert built == len(plugins), f"{built} libraries of {len(plugins)} plugins"
    say(f"all {built} plugins of the tree build against the installation alone")
    shutil.rmtree(folder)


class Host:
    """A `tenon` and what it answers on the random models."""

    def __init__(self, tenon, work, models):
        self.tenon, self.work, self.models = tenon, work, models
        self.prompts = work / "prompts.txt"
        text = "a tenon is the end of a rail, cut to fit a mortise; "
        self.prompts.write_text("".join(f"{text * (1 + 3 * i % 7)}{i}\n" for i in range(6)))

    def answers(self, manifest, model="tiny.gguf", *options):
        """[(token, log-probability)] of each prompt."""
        out = call([self.tenon, "run", "--allow-untested", "-m", manifest, "--model", self.models / model,
                    "--prompts", self.prompts, "--raw",
                    "--temperature", "0", "--max-tokens", "12", "--ignore-eos", "--threads", "2", "--json", *options],
                   manifest.parent, self.work)
        answers = json.loads(out[out.index("[\n"):])
        return [[(token["id"], token["logprob"]) for token in answer["tokens"]] for answer in answers]

    def hit_tokens(self, manifest):
        """Prompt tokens of a trace with common beginnings that were not computed again."""
        out = call([self.tenon, "replay-trace", "--allow-untested", "-m", manifest, "--model", self.models / "tiny.gguf", "--generate",
                    "--count", "8",
                    "--rate", "0", "--prompt", "100", "--answer", "2", "--prefix-levels", "1", "--prefix-fanout", "1",
                    "--prefix-tokens", "128", "--json"], manifest.parent, self.work)
        return int(re.search(r'"prefix_hit_tokens": (\d+)', out)[1])

    def check(self, manifest):
        call([self.tenon, "manifest", "check", "--allow-untested", manifest], manifest.parent, self.work)


def oracle_of(project, *params):
    """A change of the example manifest: the oracle instead of the template."""
    entry = " ".join(f"param {{ key: \"{key}\" {value} }}" for key, value in params)
    return rf'plugin: "{project.id}"\n  library.*\n(?:  param.*\n)*', f'plugin: "{ORACLES[project.kind]}" {entry}\n'


def same(got, want, what):
    assert got == want, f"{what}: answers differ\n{got}\n{want}"


def run_backend(host, project, compiler):
    example = project.manifest(compiler, "run")
    oracle = project.manifest(compiler, "oracle", oracle_of(project, ("policy", 's: "exact"')))
    chunked = project.manifest(compiler, "chunked", (r'scheduler \{ plugin: "tenon.scheduler.fcfs"',
                                                     'scheduler { plugin: "tenon.scheduler.sarathi" '
                                                     'param { key: "chunk_size" i: 48 }'))
    for model in ("tiny.gguf", "gemma.gguf"):
        got = host.answers(example, model)
        want = host.answers(oracle, model)
        for mine, exact in zip(got, want, strict=True):
            for (token, logprob), (exact_token, exact_logprob) in zip(mine, exact, strict=True):
                assert token == exact_token and abs(logprob - exact_logprob) < BACKEND_TOLERANCE, (model, mine, exact)
        same(host.answers(chunked, model), got, f"{project.name} with chunks")


def run_method(host, project, compiler):
    """A template equals its oracle, bit for bit, and does what it is for."""
    models = ("tiny.gguf",) if project.kind in ("adapter", "model", "comm", "parallelism") else ("tiny.gguf", "gemma.gguf")
    options = ("--adapter", host.models / "adapter") if project.kind == "adapter" else ()
    example = project.manifest(compiler, "run")
    oracle = project.manifest(compiler, "oracle", oracle_of(project))
    for model in models:
        want = host.answers(oracle, model, *options)
        same(host.answers(example, model, *options), want, f"{project.name} on {model}")
        if project.kind == "scheduler":  # small chunks, and so few pages that some must give theirs up
            chunked = project.manifest(compiler, "chunked", ('"chunk_tokens" i: 256', '"chunk_tokens" i: 40'))
            same(host.answers(chunked, model, "--kv-pages", "12"), want, f"{project.name} on {model}, short of pages")
    if project.kind == "cache":
        # One after the other, so that later prompts begin with pages of earlier ones.
        fcfs = 'plugin: "tenon.scheduler.fcfs"'
        alone = (fcfs, fcfs + ' param { key: "max_sequences" i: 1 }')
        serial = project.manifest(compiler, "serial", alone)
        hits, expected = (host.hit_tokens(each)
                          for each in (serial, project.manifest(compiler, "serial-oracle", oracle_of(project), alone)))
        assert hits == expected > 0, f"{hits} tokens came from the cache, {expected} from the oracle's"
        same(host.answers(serial), host.answers(oracle), f"{project.name} with hits")
    if project.kind == "adapter":
        without = host.answers(example)
        assert without != host.answers(example, "tiny.gguf", *options), "the adapter changes nothing"
        off = project.manifest(compiler, "off", ('"strength" d: 1', '"strength" d: 0'))
        same(host.answers(off, "tiny.gguf", *options), without, "strength 0")
    if project.kind == "attention" and "window_tokens" in example.read_text():
        window = project.manifest(compiler, "window", ('"window_tokens" i: 0', '"window_tokens" i: 70'))
        assert host.answers(window) != want, "a window changes nothing"


def run(host, project, compiler):
    host.check(project.manifest(compiler, "run"))
    if project.kind == "backend":
        run_backend(host, project, compiler)
    else:
        run_method(host, project, compiler)


def check_new(tenon, work):
    """What `tenon new` refuses leaves nothing behind."""
    before = sorted(work.iterdir())
    for words, expected in ((["schduler", "x"], 'did you mean "scheduler"?'), (["cache", "X"], "TENON-A053"),
                            (["cache", "x", "--lang", "c"], "TENON-A052")):
        assert expected in call([tenon, "new", *words], work, work, fails=True)
    assert sorted(work.iterdir()) == before


def build_host(folder):
    """A host of another compiler, optimised little so that it is built soon."""
    folder.mkdir(parents=True, exist_ok=True)
    launcher = shutil.which("ccache") or ""
    environment = dict(os.environ)
    for command in (["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DTENON_TESTS=OFF",
                     f"-DCMAKE_C_COMPILER={HOST_COMPILER[0]}", f"-DCMAKE_CXX_COMPILER={HOST_COMPILER[1]}",
                     "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG", f"-DCMAKE_CXX_COMPILER_LAUNCHER={launcher}"],
                    ["cmake", "--build", folder, "--target", "tenon_product"]):
        ran = subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        assert ran.returncode == 0, ran.stdout[-8000:]
    return folder / "bin/tenon"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--compiler", action="append", choices=[c for c, _ in COMPILERS], help="default: all")
    parser.add_argument("--host-build", type=pathlib.Path, default=ROOT / "build/host-clang")
    parser.add_argument("--without-host", action="store_true")
    arguments = parser.parse_args()
    build_folder = arguments.build.resolve()
    compilers = found_compilers(arguments.compiler)
    with moved_installation(build_folder) as (prefix, work), \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        installed.check(build_folder, prefix, work)
        say("the installation is complete, holds nothing else, and can be moved")
        tree_plugins_build(prefix, work)
        tenon = prefix / "bin/tenon"
        check_new(tenon, work)
        projects = [Project(tenon, work, kind, language) for kind in ORACLES for language in ("c++", "c")
                    if language == "c++" or kind in KINDS_IN_C]
        jobs = [(project, pair) for pair in compilers for project in projects]
        list(pool.map(lambda job: build(job[0], job[1], prefix, work), jobs))
        say(f"{len(projects)} templates build without a warning and pass their tests with {', '.join(c for c, _ in compilers)}")
        models = work / "models"
        call([build_folder / "bin/write_tiny_model", models], work, work)
        host = Host(tenon, work, models)
        assert all("rules       kept" in call([tenon, "inspect", project.library(c)], work, work) for project, (c, _) in jobs)
        list(pool.map(lambda job: run(host, job[0], job[1][0]), jobs))
        say("all of them load and run, with the answers of their oracles")
        for project in projects:
            call([tenon, "conform", project.library(compilers[-1][0])], work, work)
        say(f"all of them conform, as {compilers[-1][0]} builds them")
        if arguments.without_host or not shutil.which(HOST_COMPILER[1]):
            say(f"SKIPPED: a host built by {HOST_COMPILER[0]}")
            return
        say(f"building the host with {HOST_COMPILER[0]} in {arguments.host_build}")
        other = Host(build_host(arguments.host_build.resolve()), work, models)
        example = projects[0].manifest(compilers[0][0], "run")
        same(other.answers(example), host.answers(example), "the two hosts")
        list(pool.map(lambda job: run(other, job[0], job[1][0]), jobs))
        say(f"the same libraries run in the host built by {HOST_COMPILER[0]}")


if __name__ == "__main__":
    main()
