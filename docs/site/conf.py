"""Sphinx's settings for the website.  See build.py, which gathers the pages."""

import re
import sys
from pathlib import Path

import latex2mathml.converter
from docutils.nodes import SkipNode

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import address  # noqa: E402

import colorize_lib  # noqa: E402

project = "Colorize"
author = "The Colorize project"
copyright = "the Colorize project, MIT licence; each photograph has a licence of its own"
release = version = colorize_lib.__version__
language = "en"
root_doc = "index"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
nb_execution_mode = "off"
nb_merge_streams = True
myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]
suppress_warnings = [
    "myst.header",
    "mystnb.lexer",
]  # a lesson may begin below "# Title"; `%` lines are no Python

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_numpy_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = "Colorize"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
templates_path = ["templates"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#205493", "color-brand-content": "#205493"},
    "dark_css_variables": {"color-brand-primary": "#8ab9f1", "color-brand-content": "#8ab9f1"},
}
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/try.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
html_context = {
    "name": address.repository().removeprefix("https://github.com/"),
    "has_web": (ROOT / "build/web").is_dir(),
}


def plain_docstring(app, what, name, obj, options, lines: list[str]) -> None:
    """Our docstrings are plain text with `code`: keep reStructuredText from reading more into them."""
    blocks = re.split(r"\n{2,}", "\n".join(lines))
    was_code = False
    for i, block in enumerate(blocks):
        code = what == "module" and block.startswith("    ")
        if not code:
            blocks[i] = _plain(block)
        elif not was_code:
            blocks[i] = f"::\n\n{block}"
        was_code = code
    lines[:] = "\n\n".join(blocks).split("\n")
    for heading in [i for i, line in enumerate(lines) if line.strip() in ("Returns:", "Yields:")]:
        lines[heading + 1] = re.sub(
            r"^(\s*)", r"\1: ", lines[heading + 1]
        )  # or napoleon takes "(B, 2): …" for a type


def _plain(text: str) -> str:
    pieces = re.split(r"(`[^`]*`)", text)  # prose and code by turns
    for i, piece in enumerate(pieces):
        if piece.startswith("`"):
            pieces[i] = f"`{piece}`"
        else:
            pieces[i] = re.sub(r"([*|\\])|(?<=\w)_(?=\W|$)", r"\\\g<0>", piece)
            if i and re.match(r"\w", piece):
                pieces[i] = "\\ " + pieces[i]  # as in `UnetBlock`s
    return "".join(pieces)


def math_as_mathml(self, node) -> None:
    """Formulas as MathML, which browsers draw themselves: no script, no font, no network."""
    display = "block" if node.tagname == "math_block" else "inline"
    self.body.append(latex2mathml.converter.convert(node.astext(), display=display))
    raise SkipNode


def setup(app) -> None:
    app.connect("autodoc-process-docstring", plain_docstring, priority=100)  # before napoleon
    app.add_html_math_renderer("mathml", (math_as_mathml, None), (math_as_mathml, None))


html_math_renderer = "mathml"
