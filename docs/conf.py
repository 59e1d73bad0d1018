"""Sphinx configuration: ``make docs`` writes build/docs."""

import importlib.metadata

project = "sde_si"
author = "The sde_si developers"
release = importlib.metadata.version("sde_si")
extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
html_theme = "furo"
html_title = f"sde_si {release}"
myst_heading_anchors = 3
numpydoc_show_class_members = False
# Links from README.md into the repository, and the formulas' plain-text sections, are no pages of this site.
suppress_warnings = ["myst.xref_missing", "myst.header", "misc.highlighting_failure", "docutils"]
