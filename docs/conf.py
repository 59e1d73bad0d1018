"""Sphinx configuration: ``make docs`` executes the pages and writes build/docs."""

import importlib.metadata
import re
from pathlib import Path

from latex2mathml.converter import convert
from sphinx.util import logging

from sde_si.verify.markdown import write_pages

HERE = Path(__file__).parent

project = "sde_si"
author = "The sde_si developers"
release = importlib.metadata.version("sde_si")
extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
html_theme = "furo"
html_title = f"sde_si {release}"
html_static_path = ["static"]
html_css_files = ["claims.css"]
html_math_renderer = "mathml"
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
numpydoc_show_class_members = False
# Every page is executed, and a number that is no longer true ends the build; records are kept in build/records.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_output_stderr = "remove"
# Links from README.md into the repository are no pages of this site.
# Two rooms have a `Sweep`: a bare name in a signature cannot tell which.
suppress_warnings = ["myst.xref_missing", "myst.header", "ref.python"]


def mathml(latex, display):
    """Formula as MathML, which browsers show without a script; what is not understood is reported."""
    made = convert(latex, display=display).replace('<mi mathvariant="bold">', '<mi style="font-weight:bold">')
    if "\\" in made or "<mi>&</mi>" in made:
        logging.getLogger(__name__).warning("formula not understood: %s", latex)
    return made


def inline(visitor, node):
    """A formula in the text."""
    from docutils.nodes import SkipNode

    visitor.body.append(mathml(node.astext(), "inline"))
    raise SkipNode


def block(visitor, node):
    """A formula of its own."""
    from docutils.nodes import SkipNode

    visitor.body.append(f'<div class="formula">{mathml(node.astext(), "block")}</div>')
    raise SkipNode


def norms(app, what, name, obj, options, lines):
    """In docstrings |x| is a norm, not a substitution."""
    for i, line in enumerate(lines):
        parts = re.split("(``.*?``)", line)  # literal text keeps its bars
        lines[i] = "".join(part if part.startswith("``") else part.replace("|", "\\|") for part in parts)


def setup(app):
    """Write the pages of the claims, and register the renderer."""
    app.connect("autodoc-process-docstring", norms, priority=900)
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(block, None))
    write_pages(HERE / "claims")
