"""The benchmark of the peak model beside pyAMARES: the table in our terms, planted FIDs, and its words without it."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "fit_peaks_peer.py"
TABLE = """# a comment
Index,A,A2,A3,PCr
Initial Values,,,,
amplitude,2,A/2,A/2,4
chemicalshift,-16.0,A-15Hz,A+15Hz,0
linewidth,30,A,A,15
phase,0,A,A,A
g,0,0,0,0
Bounds,,,,
amplitude,"(0, ","(0, ","(0, ","(0, "
chemicalshift,"(-16.3,-15.8)","(-16.3,-15.8)","(-16.3,-15.8)","(-0.5, 0.5)"
linewidth,"(20, 60)","(20, 60)","(20, 60)","(10, 20)"
phase,"(-180, 180)","(-180, 180)","(-180, 180)","(-180, 180)"
g,"(0,1)","(0,1)","(0,1)","(0,1)"
"""


@pytest.fixture
def benchmark(monkeypatch):
    spec = importlib.util.spec_from_file_location("fit_peaks_peer", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fit_peaks_peer", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def table(benchmark, tmp_path):
    path = tmp_path / "prior.csv"
    path.write_text(TABLE)
    return benchmark.equivalent(path)


def test_a_triplet_moves_as_far_as_the_bounds_of_all_its_lines_let_it(table):
    peaks, amplitudes = table
    triplet, single = peaks.lines
    split = 15.0 / 120.0
    assert amplitudes == {"A": 4.0, "PCr": 4.0}
    assert triplet.pattern == (0.5, 1.0, 0.5)
    assert triplet.j_hz == 15.0
    assert triplet.ppm - triplet.shift_max_ppm == pytest.approx(-16.3 + split)
    assert triplet.ppm + triplet.shift_max_ppm == pytest.approx(-15.8 - split)
    assert (triplet.width_hz, triplet.width_min_hz, triplet.width_max_hz) == (30.0, 20.0, 60.0)
    assert (single.shift_sd_ppm, peaks.shift_range_ppm, peaks.begin_ms) == (0.0, 0.5, 0.3)


def test_planted_fids_come_back(benchmark, table):
    peaks, amplitudes = table
    fid, truth = benchmark.planted(peaks, amplitudes, 0.01, np.random.default_rng(1))
    fit, found = benchmark.run_ours(fid, peaks)
    assert fit.status == "ok"
    assert {name: part.amplitude for name, part in found.items()} == pytest.approx(truth, rel=0.01)


def test_without_the_peer_it_says_so(benchmark, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyAMARES", None)
    assert benchmark.peer() is None
    assert "pyAMARES is not installed: nothing is compared" in capsys.readouterr().out
