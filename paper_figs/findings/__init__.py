"""What the records of a figure say: numbers found in them, and the sentences and tables that tell them.

A file ``paper_figs/findings/a_name.py`` belongs to the figure ``paper_figs/figures/a_name.py``, which only draws. A
figure whose sentences take a few lines has none. Nothing here imports matplotlib.
"""
