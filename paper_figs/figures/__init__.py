"""One script a figure or table, found by the name of its file (`paper_figs.scripts`)."""
