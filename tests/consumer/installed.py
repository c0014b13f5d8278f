#!/usr/bin/env python3
"""Installs a build, moves the installation, and checks that it is what a plugin's author needs and nothing else.

  installed.py BUILD_FOLDER
"""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLUGINS = "lib/tenon/plugins"
PACKAGE = "lib/cmake/TenonSDK"


def clean_environment(home):
    """Nothing of the caller's: no compiler flags, no paths, no configuration."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "LC_ALL": "C.UTF-8"}


def call(command, folder, home, fails=False):
    """The output of a command in a clean environment; any other end than the expected one ends the test."""
    run = subprocess.run([str(word) for word in command], cwd=folder, env=clean_environment(home), text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if (run.returncode != 0) != fails:
        raise SystemExit(f"exit code {run.returncode} of {' '.join(map(str, command))} in {folder}:\n{run.stdout}")
    return run.stdout


@contextlib.contextmanager
def moved_installation(build):
    """An installation of `build` that lies elsewhere than where it was installed, beside an empty folder `work`."""
    with tempfile.TemporaryDirectory(prefix="tenon-consumer-") as name:
        folder = pathlib.Path(name)
        (folder / "work").mkdir()
        call(["cmake", "--install", build, "--prefix", folder / "installed"], folder, folder / "work")
        (folder / "installed").rename(folder / "moved")
        yield folder / "moved", folder / "work"


def expected_files(build):
    headers = {str(path.relative_to(ROOT / "sdk")) for path in (ROOT / "sdk/include").rglob("*") if path.is_file()}
    template = {f"share/tenon/template/{path.relative_to(ROOT / 'sdk/template')}"
                for path in (ROOT / "sdk/template").rglob("*") if path.is_file()}
    package = {f"{PACKAGE}/{name}" for name in ("TenonSDKConfig.cmake", "TenonSDKConfigVersion.cmake", "TenonSDKTargets.cmake",
                                                "TenonPlugin.cmake", "plugin.map", "descriptor.proto")}
    plugins = {f"{PLUGINS}/{path.name}" for path in pathlib.Path(build, "plugins").glob("*.so")}
    manifests = {f"share/tenon/manifests/{path.name}" for path in (ROOT / "apps/manifests").iterdir()}
    docs = {f"share/doc/tenon/{path.relative_to(ROOT / 'docs')}" for path in (ROOT / "docs").rglob("*") if path.is_file()}
    docs |= {"share/doc/tenon/README.md", "share/doc/tenon/LICENSE"}
    return headers | template | package | plugins | manifests | docs | {"bin/tenon", "lib/pkgconfig/tenon-sdk.pc", "share/tenon/vocabulary.toml"}


def check_files(build, prefix):
    found = {str(path.relative_to(prefix)) for path in prefix.rglob("*") if path.is_file()}
    expected = expected_files(build)
    assert found == expected, f"missing: {sorted(expected - found)}; not expected: {sorted(found - expected)}"
    places = [str(ROOT).encode() + b"/", str(pathlib.Path(build).resolve()).encode(), str(prefix.parent).encode()]
    for path in prefix.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for place in places:
                assert place not in content, f"{path} contains the path {place.decode()}"
    for library in [prefix / "bin/tenon", *(prefix / PLUGINS).glob("*.so")]:
        dynamic = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
        assert "RPATH" not in dynamic and "RUNPATH" not in dynamic, f"{library} looks for libraries in a fixed place"


def check_command(prefix, work):
    plugins = json.loads(call([prefix / "bin/tenon", "plugin", "list", "--json"], work, work))
    files = [plugin["file"] for plugin in plugins if plugin["file"]]
    assert files and all(file.startswith(str(prefix / PLUGINS)) for file in files), files
    # Also when it is called by a link from elsewhere.
    link = work / "tenon"
    link.symlink_to(prefix / "bin/tenon")
    assert json.loads(call([link, "plugin", "list", "--json"], work, work)) == plugins
    link.unlink()


def check_package(prefix, work):
    project = work / "find"
    project.mkdir()
    (project / "CMakeLists.txt").write_text("""cmake_minimum_required(VERSION 3.25)
project(find LANGUAGES NONE)
find_package(TenonSDK 0.1 REQUIRED)
get_target_property(include tenon::abi INTERFACE_INCLUDE_DIRECTORIES)
message(STATUS "include: ${include}")
""")
    configure = ["cmake", "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={shutil.which('ninja')}", "-S", project, "-B", project / "build", f"-DCMAKE_PREFIX_PATH={prefix}"]
    assert f"include: {prefix}/include\n" in call(configure, work, work)
    shutil.rmtree(project / "build")
    without = ["-DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF", "-DCMAKE_FIND_USE_SYSTEM_ENVIRONMENT_PATH=OFF"]
    message = " ".join(call(configure + without, work, work, fails=True).split())
    assert "apt-get install protobuf-compiler" in message, message
    shutil.rmtree(project)
    if shutil.which("pkg-config"):
        flags = subprocess.run(["pkg-config", "--cflags", "tenon-sdk"], text=True, capture_output=True, check=True,
                               env=clean_environment(work) | {"PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig")}).stdout
        assert os.path.realpath(flags.strip().removeprefix("-I")) == str(prefix / "include"), flags


def check(build, prefix, work):
    check_files(build, prefix)
    check_command(prefix, work)
    check_package(prefix, work)


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    with moved_installation(build) as (prefix, work):
        check(build, prefix, work)
    print("installation: good")


if __name__ == "__main__":
    main()
