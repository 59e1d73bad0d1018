"""Tuned hyperparameters from which tests of `sde_si.tune` start."""

from __future__ import annotations

from sde_si import HyperParameters

TUNED = HyperParameters(N=50_000, B=256, lr=0.1, wd=1e-4, momentum=0.9)
FROM = "N=50000,B=256,lr=0.1,wd=1e-4,momentum=0.9"
