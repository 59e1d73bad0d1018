"""Every figure and table of the papers, drawn from committed records: ``python -m paper_figs``.

One script a figure in ``paper_figs/figures``; to add one, write a file there. No torch is imported.
"""
