"""The papers' experiments: ``python -m validation.experiments NAME --scale tiny|cpu|gpu|full``.

To add one, write one small file into ``catalogue``; its name with dashes is the experiment's.
"""

from __future__ import annotations

from validation.experiments.base import SCALES, Cell, Experiment
from validation.experiments.catalogue import EXPERIMENTS
from validation.experiments.summary import current, load, path_of, present

__all__ = ["EXPERIMENTS", "SCALES", "Cell", "Experiment", "current", "load", "path_of", "present"]
