"""Sources of several frameworks on one page: Markdown, one after the other, or HTML, each in a tab
of its own and all side by side.
"""

from __future__ import annotations

import html
import io
import keyword
import tokenize
from collections.abc import Mapping
from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 1.5rem; }
pre { font: 13px/1.45 ui-monospace, monospace; overflow-x: auto; margin: 0; }
pre i { color: light-dark(#57606a, #9198a1); font-style: normal; }
pre q { color: light-dark(#0a3069, #a5d6ff); quotes: none; }
pre b { color: light-dark(#8250df, #d2a8ff); font-weight: normal; }
h2 { font-size: 1rem; margin: 1rem 0 .5rem; }
input { position: absolute; opacity: 0; }
label { display: inline-block; padding: .3rem .8rem; cursor: pointer; border-bottom: 3px solid
  transparent; }
input:checked + label { border-color: light-dark(#8250df, #d2a8ff); }
input:focus-visible + label { outline: 2px solid light-dark(#8250df, #d2a8ff); }
.sources { margin-top: 1rem; }
section { display: none; min-width: 0; }
"""


def markdown(title: str, sources: Mapping[str, str]) -> str:
    """A page with the sources by framework, one after the other."""
    parts = [f"# {title}"]
    parts += [f"## {name}\n\n```python\n{source}```" for name, source in sources.items()]
    return "\n\n".join(parts) + "\n"


def html_page(title: str, sources: Mapping[str, str]) -> str:
    """A page with a tab for each of the sources by framework, and one with all side by side; it
    needs neither scripts nor other files.
    """
    tabs = list(sources)
    if len(tabs) > 1:
        tabs.append("side by side")
    shown = [
        f"#tab{i}:checked ~ .sources section:nth-of-type({i + 1}) {{ display: block; }}"
        for i in range(len(sources))
    ]
    last = f"#tab{len(sources)}:checked ~ .sources"
    shown += [
        f"{last} {{ display: grid; grid-auto-flow: column; gap: 1.5rem; overflow-x: auto; }}",
        f"{last} section {{ display: block; }}",
    ]
    switches = [
        f'<input type="radio" name="tab" id="tab{i}"{" checked" if i == 0 else ""}>'
        f'<label for="tab{i}">{html.escape(name)}</label>'
        for i, name in enumerate(tabs)
    ]
    sections = [
        f"<section>\n<h2>{html.escape(name)}</h2>\n<pre>{coloured(source)}</pre>\n</section>"
        for name, source in sources.items()
    ]
    head = f'<meta charset="utf-8">\n<title>{html.escape(title)}</title>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    styles = "\n".join([STYLE.strip(), *shown])
    body = "\n".join([*switches, '<div class="sources">', *sections, "</div>"])
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n{view}\n<style>\n{styles}\n</style>\n'
        f"</head>\n<body>\n<h1>{html.escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def coloured(source: str) -> str:
    """Python source as HTML, with comments, strings and keywords marked."""
    rows = source.splitlines(keepends=True)
    found: list[str] = []
    row, column = 1, 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        found.append(html.escape(_between(rows, (row, column), token.start), quote=False))
        text = html.escape(_between(rows, token.start, token.end), quote=False)
        tag = _tag(token)
        found.append(f"<{tag}>{text}</{tag}>" if tag and text else text)
        row, column = token.end
    return "".join(found)


def _tag(token: tokenize.TokenInfo) -> str:
    if token.type == tokenize.COMMENT:
        return "i"
    if token.type == tokenize.STRING:
        return "q"
    return "b" if token.type == tokenize.NAME and keyword.iskeyword(token.string) else ""


def _between(rows: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """The text from one place to another, as (row from 1, column)."""
    if start >= end or start[0] > len(rows):
        return ""
    if start[0] == end[0]:
        return rows[start[0] - 1][start[1] : end[1]]
    inside = rows[start[0] : end[0] - 1]
    after = rows[end[0] - 1][: end[1]] if end[0] <= len(rows) else ""
    return "".join([rows[start[0] - 1][start[1] :], *inside, after])
