"""Shared by all HTML pages: one file, no script, nothing from elsewhere, for light, dark, print and screen readers."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Final

#: Nothing is loaded and nothing runs; the page's own style is all that is allowed.
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"

#: The colors, also for a picture in its own file.
COLORS: Final = """\
:root{color-scheme:light dark;--page:#fff;--text:#1b1f24;--quiet:#57606a;--line:#d0d7de;--box:#f6f8fa;
  --link:#0550ae;--good:#116329;--good-box:#dafbe1;--waiting:#0550ae;--waiting-box:#ddf4ff;--warning:#7d4e00;
  --warning-box:#fff8c5;--bad:#a40e26;--bad-box:#ffebe9;--focus:#0969da}
@media(prefers-color-scheme:dark){
:root{--page:#0d1117;--text:#e6edf3;--quiet:#9198a1;--line:#3d444d;--box:#161b22;--link:#79c0ff;--good:#56d364;
  --good-box:#12261e;--waiting:#79c0ff;--waiting-box:#121d2f;--warning:#e3b341;--warning-box:#272115;--bad:#ff7b72;
  --bad-box:#2d1a1b;--focus:#79c0ff}}
@media print{
:root{color-scheme:light;--page:#fff;--text:#000;--quiet:#444;--line:#999;--box:#f6f8fa;--link:#000;--good:#116329;
  --good-box:#fff;--waiting:#0550ae;--waiting-box:#fff;--warning:#7d4e00;--warning-box:#fff;--bad:#a40e26;
  --bad-box:#fff}}
"""

_FOOTER: Final = (
    "Written by manifestgen. This page loads nothing and runs no script. What seems to be a secret is left out."
)
_STYLE: Final = """\
*{box-sizing:border-box}
body{margin:0 auto;padding:1.2rem clamp(.8rem,3vw,2.5rem) 3rem;max-width:110rem;background:var(--page);
  color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;
  overflow-wrap:break-word}
h1{font-size:1.5rem;line-height:1.25;margin:.2rem 0}
h2{font-size:1.1rem;margin:1.8rem 0 .5rem}
p{margin:.3rem 0}
a{color:var(--link)}
:focus-visible{outline:3px solid var(--focus);outline-offset:2px}
code,pre,.code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.88em}
.skip{position:absolute;left:-99rem}
.skip:focus{position:static}
.quiet{color:var(--quiet)}
.facts{list-style:none;margin:.3rem 0;padding:0;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;color:var(--quiet)}
.banner{margin:.8rem 0;padding:.6rem .9rem;border-left:5px solid;border-radius:4px}
.badge{display:inline-block;padding:0 .5em;border:1px solid;border-radius:1em;font-size:.85em;white-space:nowrap}
.plain{color:var(--text);background:var(--box)}
.good{color:var(--good);background:var(--good-box)}
.waiting{color:var(--waiting);background:var(--waiting-box)}
.warning{color:var(--warning);background:var(--warning-box)}
.bad{color:var(--bad);background:var(--bad-box)}
.scroll{overflow:auto;border:1px solid var(--line);border-radius:6px;max-width:100%}
table{border-collapse:collapse;width:100%;font-size:.93em}
caption{text-align:left;color:var(--quiet);padding:.3rem .6rem}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid var(--line)}
thead th{background:var(--box);white-space:nowrap}
tbody tr:last-child>*{border-bottom:0}
tbody th{font-weight:600}
td .badge{white-space:normal}
td ul,dd ul{margin:0;padding:0;list-style:none}
:target{outline:3px solid var(--focus);outline-offset:-3px}
.meters{display:grid;grid-template-columns:repeat(auto-fill,minmax(20rem,1fr));gap:.5rem 1.5rem;margin:.8rem 0;
  padding:0;list-style:none}
.meter{height:.6rem;border:1px solid var(--line);border-radius:.4rem;background:var(--box);overflow:hidden}
.meter span{display:block;height:100%;background:currentColor}
ol.notes{padding:0;list-style:none}
ol.notes li{border-left:4px solid var(--line);margin:.5rem 0;padding:.1rem .8rem}
ol.notes li.bad{border-color:var(--bad)}
ol.notes li.warning{border-color:var(--warning)}
ol.notes li[class]{background:none;color:inherit}
ins,del{text-decoration:none}
ins{color:var(--good)}
del{color:var(--bad)}
mark{color:var(--warning);background:none}
footer{margin-top:2.5rem;color:var(--quiet);font-size:.87em}
@media print{
body{padding:0;max-width:none;font-size:11px}
.skip{display:none}
.scroll{overflow:visible;border:0}
table{font-size:8px}
th,td{padding:.2rem .3rem;overflow-wrap:anywhere}
thead th{white-space:normal}
h2{break-after:avoid}
tr,li{break-inside:avoid}
svg{max-width:100%;height:auto}
a{text-decoration:none}}
"""


def esc(text: str) -> str:
    """A text as it may stand in HTML and SVG, in attributes too."""
    return html.escape(text)


def badge(text: str, tone: str) -> str:
    """A few words in a frame.

    Args:
        text: plain text.
        tone: a class of the style: `plain`, `good`, `waiting`, `warning` or `bad`.
    """
    return f'<span class="badge {tone}">{esc(text)}</span>'


def facts(texts: Iterable[str]) -> str:
    """Short remarks in a row. The texts are plain."""
    lines = "".join(f"<li>{esc(text)}</li>" for text in texts)
    return f'<ul class="facts">{lines}</ul>'


def page(title: str, body: Iterable[str], *, style: str = "") -> str:
    """An HTML page.

    Args:
        title: plain text.
        body: pieces of HTML.
        style: more CSS.
    """
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{esc(title)}</title>",
            f"<style>{COLORS}{_STYLE}{style}</style>",
            "</head>",
            "<body>",
            *body,
            f"<footer>{_FOOTER}</footer>",
            "</body>",
            "</html>",
            "",
        ]
    )


def table(caption: str, head: Iterable[str], rows: Iterable[str], *, id_: str = "") -> str:
    """A table that scrolls by itself where it is too wide.

    Args:
        caption: what is in it, plain text.
        head: plain texts.
        rows: `<tr>` elements.
    """
    cells = "".join(f'<th scope="col">{esc(text)}</th>' for text in head)
    anchor = f' id="{id_}"' if id_ else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{esc(caption)}"><table{anchor}>'
        f"<caption>{esc(caption)}</caption><thead><tr>{cells}</tr></thead><tbody>\n"
        + "\n".join(rows)
        + "\n</tbody></table></div>"
    )


def items(texts: Iterable[str]) -> str:
    """A list in a cell; nothing for no items. The texts are HTML."""
    lines = "".join(f"<li>{text}</li>" for text in texts)
    return f"<ul>{lines}</ul>" if lines else ""


def meter(title: str, value: int, limit: int, unit: str) -> str:
    """How much of a limit is used, as a bar with its figures beside it."""
    share = value / limit
    tone = "bad" if share > 1 else "warning" if share > 0.75 else "waiting"
    said = f"{value:,} of {limit:,}{f' {unit}' if unit else ''}, {share:.0%}"
    return (
        f'<li><span>{esc(title)}</span>: <span class="quiet">{said}</span>'
        f'<div class="meter" role="meter" aria-label="{esc(title)}" aria-valuemin="0" aria-valuemax="{limit}" '
        f'aria-valuenow="{value}" aria-valuetext="{said}">'
        f'<span style="width:{min(share, 1):.1%};color:var(--{tone})"></span></div></li>'
    )
