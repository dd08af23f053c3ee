from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "mixture.py"


@pytest.mark.slow
def test_a_trained_network_is_within_twice_the_floor_of_a_known_law():
    """Sliced Wasserstein of 5,000 samples against 5,000 fresh points; the floor is two fresh sets. Fixed seeds."""
    spec = importlib.util.spec_from_file_location("mixture", BENCHMARK)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    result = benchmark.measure()
    assert result["sliced_wasserstein"] <= 2 * result["floor"]
