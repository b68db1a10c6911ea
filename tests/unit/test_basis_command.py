"""The ``basis`` command."""

import pytest

from mrs_pipeline.basis import load_basis
from mrs_pipeline.cli.main import main


def test_simulate_convert_and_show(tmp_path, capsys):
    out = tmp_path / "press.basis"
    words = ["basis", "simulate", "--sequence", "press", "--te1", "11", "--te2", "19", "--field-mhz", "123.2"]
    words += ["--bandwidth", "4000", "--points", "512", "--metabolites", "Cr", "mI", "Glu", "--exclude", "Glu"]
    assert main([*words, "--include", "H2O", "--output", str(out)]) == 0
    found = load_basis(out)
    assert found.names == ("Cr", "Ins", "H2O")
    assert (found.te1, found.te2, found.n_points) == (0.011, 0.019, 512)
    assert main(["basis", "convert", str(out), "--output", str(tmp_path / "b.txt"), "--metabolites", "Cr"]) == 0
    assert load_basis(tmp_path / "b.txt").names == ("Cr",)
    assert main(["basis", "show", str(out), "--output", str(tmp_path / "page.svg")]) == 0
    assert (tmp_path / "page.svg").stat().st_size > 1000
    assert "te1 11 ms, te2 19 ms, ideal pulses" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--te1", "0.011", "--te2", "19"], "milliseconds"),
        (["--te1", "11", "--te2", "1900"], "milliseconds"),
        (["--te1", "11", "--te2", "19", "--field-mhz", "3"], "--field-mhz"),
        (["--te1", "11", "--te2", "19", "--metabolites", "Cr", "--exclude", "Cr"], "no metabolite"),
    ],
)
def test_wrong_numbers_are_usage_errors(words, said, tmp_path, capsys):
    assert main(["basis", "simulate", *words, "--output", str(tmp_path / "x.basis")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "x.basis").exists()


def test_an_unwritable_format_is_named(tmp_path, capsys):
    words = [
        "basis",
        "simulate",
        "--te1",
        "11",
        "--te2",
        "19",
        "--metabolites",
        "Cr",
        "--output",
        str(tmp_path / "x.doc"),
    ]
    assert main(words) == 1
    said = capsys.readouterr()
    assert "names no format" in said.err
    assert "Cr" not in said.out + said.err  # said before anything is simulated
