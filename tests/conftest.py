"""Profiles, the seed of statistical tests, and cases shared by several files."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("agreement", "simulate_command")  # helpers that assert

settings.register_profile(
    "default", deadline=None, max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def seed() -> int:
    """Seed of statistical tests: another one with SDE_SI_SEED=n; every seed must pass."""
    return int(os.environ.get("SDE_SI_SEED", "20260101"))


@pytest.fixture
def one_thread():
    """One torch thread, so that sums have one order."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
