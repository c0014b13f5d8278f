#!/usr/bin/env python3
"""Checks that includes point one way.

  layering.py              check the tree
  layering.py --self-test  check the checker
"""
import re
import sys

from tree import finish, read, tracked

# Folder of core -> the other folders of core that it may include.
CORE = {
    "base": [],
    "tensor": ["base"],
    "ops": ["base", "tensor", "iface"],
    "reference": ["base", "tensor", "iface", "ops"],
    "autograd": ["base", "tensor", "iface", "ops"],
    "format": ["base", "tensor"],
    "manifest": ["base"],
    "iface": ["base"],
    "plugin": ["base", "iface", "manifest"],
    "memory": ["base", "iface"],
    "adapter": ["base", "format", "iface", "ops"],
    "runtime": ["base", "tensor", "ops", "autograd", "format", "iface", "memory", "adapter"],
    "load": ["base", "tensor", "ops", "reference", "format", "manifest", "iface", "plugin", "memory",
             "adapter", "runtime"],
    "sim": ["base", "iface", "manifest", "plugin"],
    "trace": ["base"],
    "conform": ["base", "tensor", "ops", "reference", "format", "manifest", "iface", "plugin", "memory", "adapter", "runtime",
                "load"],
}
# The reference backend fills in the same table as a plugin does, with the same C++ layer; plans are checked with the
# arithmetic that schedulers plan with.
USES_SDK_LAYER = ("core/reference/", "core/conform/", "core/runtime/plan_check.cc")
# Headers that cost seconds a file, and the only files that may include them (None: any .cc).
HEAVY = {
    "boost/dll": ["core/plugin/library.cc"],
    "CLI/": ["apps/tenon/cli_parts.h"],
    "nlohmann/": None,
    "google/protobuf": None,
    "spdlog/": ["core/base/log.cc"],
    "boost/beast": None,
    "boost/asio": None,
}
HEADERS = (".h", ".hpp", ".cuh")
SOURCES = HEADERS + (".c", ".cc", ".cu")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')


def top(path):
    """The first folder; the tests in a plugin's folder are tests."""
    parts = path.split("/")
    return "tests" if parts[0] == "plugins" and "tests" in parts[1:-1] else parts[0]


def why_not(path, header):
    """Why `path` must not include `header`, or None."""
    here, there = top(path), top(header)
    if there == "tests" and here != "tests":
        return "only tests include tests/"
    for prefix, allowed in HEAVY.items():
        if header.startswith(prefix) and here != "tests":
            if path.endswith(HEADERS) and path not in (allowed or ()):
                return f"{prefix} is too heavy for a header; include it in a .cc file"
            if allowed and path not in allowed:
                return f"{prefix} belongs in {', '.join(allowed)} alone"
    if header == "apps/tenon/cli_parts.h" and not re.match(r"apps/tenon/cli(_\w+)?\.cc$", path):
        return "it brings CLI11; only cli*.cc include it"
    if header.endswith(".pb.h") and path.endswith(HEADERS):
        return "Protobuf is too heavy for a header; include it in a .cc file"
    if here == "core":
        return why_not_core(path, header)
    if here == "plugins":
        if there in ("core", "apps"):
            return f"a plugin sees the SDK alone, never {there}/"
        if there == "plugins" and header.split("/")[:3] != path.split("/")[:3]:
            return "a plugin never includes another; what two need moves to the SDK"
    if here == "sdk" and there in ("core", "plugins", "apps"):
        return f"the SDK stands alone: never {there}/"
    if here == "sdk" and header.startswith("tenon/sdk") and path.startswith("sdk/include/tenon/abi"):
        return "the ABI headers never include the C++ layer"
    if here == "apps" and there == "plugins":
        return "applications load plugins; they never include one"
    return None


def why_not_core(path, header):
    there = top(header)
    if there in ("plugins", "apps"):
        return f"core never includes {there}/"
    if header.startswith("tenon/sdk") and not path.startswith(USES_SDK_LAYER):
        return "core uses the ABI headers (tenon/abi), never the plugins' C++ layer"
    if there != "core":
        return None
    folder, other = path.split("/")[1], header.split("/")[1]
    if folder not in CORE:
        return f"core/{folder} has no rule; add one to {__file__}"
    if other != folder and other not in CORE[folder]:
        return f"core/{folder} may include {', '.join(CORE[folder]) or 'nothing else of core'}, not core/{other}"
    return None


def check_tree():
    problems = []
    for path in tracked(*SOURCES):
        for number, line in enumerate(read(path).splitlines(), 1):
            found = INCLUDE.match(line)
            reason = found and why_not(path, found[1])
            if reason:
                problems.append(f"{path}:{number}: includes {found[1]}: {reason}")
    finish("layering", problems)


def self_test():
    good = [("core/tensor/a.h", "core/base/error.h"), ("core/iface/t.h", "tenon/abi/ops.h"),
            ("plugins/attention/dense/a.cc", "tenon/sdk/plugin.hpp"), ("core/plugin/library.cc", "boost/dll.hpp"),
            ("plugins/attention/dense/a.cc", "plugins/attention/dense/b.h"), ("tests/unit/a.cc", "tests/unit/b.h"),
            ("apps/tenon/cli_parts.h", "CLI/CLI.hpp"), ("core/manifest/parse.cc", "manifest.pb.h"),
            ("core/load/loaded_engine.cc", "core/plugin/catalog.h"),
            ("plugins/attention/dense/tests/a_test.cc", "core/runtime/engine.h"), ("core/reference/a.cc", "tenon/sdk/plugin.hpp"),
            ("apps/tenon/cmd_run.cc", "core/runtime/engine.h")]
    bad = [("core/base/a.h", "core/tensor/b.h"), ("core/format/a.cc", "core/runtime/b.h"),
           ("plugins/attention/dense/a.cc", "core/base/error.h"), ("core/runtime/a.cc", "plugins/x/y/z.h"),
           ("plugins/attention/dense/a.cc", "plugins/attention/window/b.h"), ("core/base/a.cc", "apps/tenon/cli.h"),
           ("core/plugin/store.cc", "boost/dll.hpp"), ("core/base/log.h", "spdlog/spdlog.h"),
           ("apps/tenon/model_store.h", "nlohmann/json.hpp"), ("apps/tenon/cmd_run.cc", "apps/tenon/cli_parts.h"), ("core/manifest/parse.h", "manifest.pb.h"),
           ("core/ops/a.cc", "tests/unit/b.h"), ("sdk/include/tenon/abi/a.h", "tenon/sdk/b.hpp"),
           ("core/runtime/a.cc", "tenon/sdk/plugin.hpp"), ("core/new_folder/a.cc", "core/base/error.h"),
           ("apps/tenon/cmd_run.cc", "plugins/x/y/z.h"), ("apps/tenon/main.cc", "CLI/CLI.hpp")]
    problems = [f"refused, but fine: {case}" for case in good if why_not(*case)]
    problems += [f"passed, but wrong: {case}" for case in bad if not why_not(*case)]
    finish("layering self-test", problems)


if __name__ == "__main__":
    self_test() if "--self-test" in sys.argv else check_tree()
