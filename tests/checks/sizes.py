#!/usr/bin/env python3
"""Checks that files stay under 800 lines and functions under 100; generated files are exempt.

Functions are found by the house format: a definition starts at column 0 and ends with a brace there.
"""
import re

from tree import finish, read, tracked

FILE_LIMIT = 800
FUNCTION_LIMIT = 100
NOT_A_FUNCTION = re.compile(r"^(namespace|struct|class|union|enum|extern|static constexpr|constexpr|const|using|#|//|/\*|\}|\s)")


def functions(lines):
    """(first line, length) of each definition."""
    start = None
    for number, line in enumerate(lines, 1):
        if start is None and line and not NOT_A_FUNCTION.match(line) and "(" in line and not line.endswith(";"):
            start = number
        elif start is not None and line.startswith("}"):
            yield start, number - start + 1
            start = None
        elif start is not None and line.endswith(";") and not line.startswith(" "):
            start = None


def main():
    problems = []
    for path in tracked(".h", ".hpp", ".cc", ".cu", ".cuh", ".py", ".sh", ".cmake", "CMakeLists.txt"):
        lines = read(path).splitlines()
        if any("enerated by" in line for line in lines[:5]):
            continue
        if len(lines) > FILE_LIMIT:
            problems.append(f"{path}: {len(lines)} lines; the limit is {FILE_LIMIT}")
        if path.endswith((".cc", ".cu")):
            problems += [f"{path}:{first}: a function of {length} lines; the limit is {FUNCTION_LIMIT}"
                         for first, length in functions(lines) if length > FUNCTION_LIMIT]
    finish("sizes", problems)


if __name__ == "__main__":
    main()
