#!/usr/bin/env bash
# Checks the format of every C++ file with the one version of clang-format that the tree is written with.
set -euo pipefail
cd "$(dirname -- "$(readlink -f -- "$0")")/../.."
tool=clang-format-14
command -v "$tool" >/dev/null || {
  echo "format: $tool is missing; install the Debian package of that name"
  exit 1
}
mapfile -d '' -t files < <(git ls-files -z --cached --others --exclude-standard -- '*.h' '*.hpp' '*.c' '*.cc' '*.cu' '*.cuh')
# Generated headers keep the generator's own layout.
mapfile -t files < <(grep -L 'enerated by' "${files[@]}")
"$tool" --dry-run -Werror "${files[@]}"
echo "format: good (${#files[@]} files)"
