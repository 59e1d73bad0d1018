"""Runs of the engine to their end, for tests of the kernel."""

from __future__ import annotations

import numpy as np

from sde_si import HyperParameters
from sde_si.engine import Engine

HP = HyperParameters(N=60, B=4, lr=0.2, wd=0.02, momentum=0.9, epochs=4)


def end(run, **options):
    engine = Engine(run, **options)
    blocks = engine.blocks()
    results = engine.advance(blocks, run.hyperparameters.epochs)
    return np.concatenate([block.x for block in blocks]), results
