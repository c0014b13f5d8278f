#!/usr/bin/env python3
"""Checks that links between the tree's Markdown pages resolve, headings included. Links to the web are not followed."""
import os
import re

from tree import ROOT, finish, read, tracked

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)


def slugs(text):
    """GitHub's anchors of the headings, and those that the page sets itself."""
    seen, out = {}, set()
    for heading in re.findall(r"^#+ +(.+?) *#*$", FENCE.sub("", text), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        out.add(f"{slug}-{count}" if count else slug)
    return out | set(re.findall(r'<a id="([^"]+)">', text))


def main():
    problems = []
    for path in tracked(".md"):
        text = read(path)
        for found in LINK.finditer(FENCE.sub(lambda m: "\n" * m[0].count("\n"), text)):
            link = found[1] or found[2]
            if re.match(r"[a-z]+:", link):
                continue
            file, _, anchor = link.partition("#")
            target = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
            if not (ROOT / target).exists():
                problems.append(f"{path}: link to {link}: no such file")
            elif anchor and target.endswith(".md") and anchor not in slugs(read(target)):
                problems.append(f"{path}: link to {link}: no such heading")
    finish("links", problems)


if __name__ == "__main__":
    main()
