"""How the benchmark of the fit reads another program: its table, its macromolecules, a fit that failed."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PROGRAM = """
import sys
from functools import partial
from pathlib import Path
folder = Path(sys.argv[1])
rows = ["name,amplitude,crlb", "tCr,{creatine},0.1", "Glu,12.0,0.6", "GABA,0.0,0.3"]
(folder / "peer.csv").write_text("\\n".join(rows))
(folder / "seconds.txt").write_text("3.5")
Path({seen!r}).write_text((folder / "basis.basis").read_text())
"""


@pytest.fixture(scope="module")
def modules():
    sys.path.insert(0, str(BENCHMARKS))
    import panels
    import peers

    yield panels, peers
    sys.path.remove(str(BENCHMARKS))


def fit(modules, tmp_path, creatine):
    panels, peers = modules
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.format(creatine=creatine, seen=str(tmp_path / "seen.basis")))
    command = lambda: (sys.executable, str(script))  # noqa: E731
    peer = peers.Peer("a program", lambda: True, partial(peers.read_script, command=command))
    return peer.fit(panels.cases("matched", 1)[0])


def test_ratio_and_interval_come_from_amplitude_and_bound(modules, tmp_path):
    outcome = fit(modules, tmp_path, 8.0)
    assert outcome.estimate["Glu"] == pytest.approx((1.5, 0.075, 1.5 - 1.96 * 0.075, 1.5 + 1.96 * 0.075))
    assert outcome.estimate["GABA"] == (0.0, 0.0, 0.0, 0.0)
    assert outcome.estimate["Ins"] == (0.0, 0.0, 0.0, 0.0)
    assert outcome.seconds == 3.5
    assert "METABO = 'Glu'" in (tmp_path / "seen.basis").read_text()


def test_a_program_is_called_by_a_command_of_ones_own(modules, tmp_path, monkeypatch):
    panels, peers = modules
    monkeypatch.delenv("TARQUIN_COMMAND", raising=False)
    assert not peers.PEERS["tarquin"].installed()
    script = tmp_path / "my program.py"
    script.write_text(PROGRAM.format(creatine=8.0, seen=str(tmp_path / "seen.basis")))
    monkeypatch.setenv("TARQUIN_COMMAND", f"{sys.executable} '{script}'")
    assert peers.PEERS["tarquin"].installed()
    assert peers.PEERS["tarquin"].fit(panels.cases("matched", 1)[0]).estimate["Glu"][0] == 1.5


def test_a_fit_without_creatine_is_no_number(modules, tmp_path):
    assert np.isnan(fit(modules, tmp_path, 0.0).estimate["Glu"][0])


def test_true_macromolecules_take_the_place_of_lcmodels_own(modules, tmp_path):
    panels, peers = modules
    from mrs_pipeline.basis import load_basis

    case = panels.cases("matched", 1)[0]
    control = tmp_path / "control"
    control.write_text(" $LCMODL\n NUNFIL=2048\n $END\n")
    peers.leave_out(control, ("MM09", "MM20"))
    assert control.read_text() == " $LCMODL\n NUNFIL=2048\n NOMIT=2\n CHOMIT(1)='MM09'\n CHOMIT(2)='MM20'\n $END\n"
    spectrum, basis, _ = panels.plant(case)
    broad = panels.gaussian(0.9, 0.15, spectrum.time, panels.MHZ)
    seen = broad * np.abs(panels.scan_line(case))
    grid = basis.resampled(panels.DWELL, panels.POINTS, panels.MHZ, 4.65)
    peers.tell_macromolecules(case, grid.with_member("MM", seen), tmp_path)
    told = load_basis(tmp_path / "basis.basis").resampled(panels.DWELL, panels.POINTS, panels.MHZ, 4.65)
    early = spectrum.time < 0.05
    np.testing.assert_allclose(told.fid("MM")[early], broad[early], atol=0.02)
