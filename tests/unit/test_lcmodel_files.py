"""LCModel's files, written and read; its own example and a Fortran program are the oracles."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mrs_pipeline.errors import InputError
from mrs_pipeline.nifti_mrs import (
    format_lcmodel_control,
    format_lcmodel_raw,
    read_lcmodel_control,
    read_lcmodel_curves,
    read_lcmodel_raw,
    read_lcmodel_table,
)
from mrs_pipeline.spectrum import Spectrum

DATA = Path(__file__).parents[3] / "shared" / "data" / "lcmodel_example"

ROWS = """\
   Conc.  %SD /Cr+PCr  Metabolite
7.20E-08 166% 3.9E-02 Ala
   1.200  13%   0.659 Cr
   0.000 999%   0.000 PCh
   0.622  26%   0.341+PCr
 123.400   2% 1.2E+03 NAA
   0.100  90%   0.050 -CrCH2
   2.380   3%   1.306 NAA+NAAG
   1.822   3%   1.000 Cr+PCr
"""
MISC = """\
 FWHM = 0.084 ppm    S/N =  21
 Data shift =-0.008 ppm
 Ph:-179 deg     -12.2 deg/ppm
 alphaB,S = 1.7E-01,   3.7E-01
"""


def line(ppm=2.01, points=512, reference=4.65, mhz=123.2, dwell=5e-4):
    time = np.arange(points) * dwell
    fid = 3.0 * np.exp(2j * np.pi * (ppm - reference) * mhz * time - 12.0 * time)
    return Spectrum(fid, dwell, mhz, reference, echo_time=0.03)


def table_text(rows=ROWS, misc=MISC, diagnostics=("   2 info's    FINOUT  9", "   1 warning   STARTV  5")):
    body = "".join(f" {row}\n" for row in rows.splitlines())
    return (
        " LCModel (Version 6.3-1R)\n  \n\n"
        f"$$CONC{len(rows.splitlines()):3d} lines in following concentration table = NCONC+1\n{body}\n"
        f"$$MISC  4 lines in following misc. output table\n" + "".join(f" {row}\n" for row in misc.splitlines()) + "\n"
        f"$$DIAG{len(diagnostics):3d} lines in following diagnostic table:\n"
        + "".join(f"{d}\n" for d in diagnostics)
        + "\n$$INPU  1 lines in following table of input changes:\n filraw='data.raw'\n"
    )


def test_raw_round_trip_keeps_the_signal(tmp_path):
    spectrum = line()
    (tmp_path / "x.raw").write_text(format_lcmodel_raw(spectrum))
    back = read_lcmodel_raw(tmp_path / "x.raw", spectrum.dwell, spectrum.carrier_mhz)
    np.testing.assert_allclose(back.fid, spectrum.fid, atol=3e-7 * 3)
    assert back.echo_time == pytest.approx(0.03)


def test_raw_has_lcmodels_sense_and_carrier(tmp_path):
    text = format_lcmodel_raw(line(reference=4.70))
    pairs = np.array(text.split("$END")[-1].split(), float)
    on_disk = pairs[0::2] + 1j * pairs[1::2]
    hertz = np.fft.fftfreq(8 * on_disk.size, 5e-4)[np.argmax(np.abs(np.fft.fft(on_disk, 8 * on_disk.size)))]
    assert hertz == pytest.approx((4.65 - 2.01) * 123.2, abs=0.3)  # below water at positive frequency, water at zero


@pytest.mark.parametrize(
    ("spectrum", "words"),
    [
        (Spectrum(np.ones((2, 128)), 5e-4, 123.2, dims=("DIM_DYN",)), "takes one"),
        (Spectrum(np.ones(32), 5e-4, 123.2), "64 to 65536"),
        (Spectrum(np.zeros(128), 5e-4, 123.2), "single precision"),
        (Spectrum(np.full(128, 1e35), 5e-4, 123.2), "single precision"),
    ],
)
def test_data_that_lcmodel_cannot_take_are_refused(spectrum, words):
    with pytest.raises(InputError, match=words):
        format_lcmodel_raw(spectrum)


def test_control_says_what_the_data_are(tmp_path):
    spectrum = line()
    (tmp_path / "control").write_text(format_lcmodel_control(spectrum, water=True))
    control = read_lcmodel_control(tmp_path / "control")
    assert (control.n_points, control.dwell, control.carrier_mhz) == (512, 5e-4, 123.2)
    assert control.echo_time == pytest.approx(0.03)
    assert (control.raw, control.water, control.basis) == ("data.raw", "water.h2o", "basis.basis")
    assert "FILH2O" not in format_lcmodel_control(spectrum, water=False)
    assert " DOWS=F\n" in format_lcmodel_control(spectrum, water=False)


def test_table_is_read_by_its_columns(tmp_path):
    (tmp_path / "t").write_text(table_text())
    table = read_lcmodel_table(tmp_path / "t")
    assert (table.version, table.reference) == ("LCModel (Version 6.3-1R)", "Cr+PCr")
    found = {row.name: (row.concentration, row.sd_percent, row.ratio, row.off_prior) for row in table.rows}
    assert found == {
        "Ala": (7.2e-8, 166.0, 3.9e-2, False),
        "Cr": (1.2, 13.0, 0.659, False),
        "PCh": (0.0, 999.0, 0.0, False),
        "PCr": (0.622, 26.0, 0.341, True),
        "NAA": (123.4, 2.0, 1200.0, False),
        "-CrCH2": (0.1, 90.0, 0.05, False),
        "NAA+NAAG": (2.38, 3.0, 1.306, False),
        "Cr+PCr": (1.822, 3.0, 1.0, False),
    }
    assert (table.fwhm_ppm, table.snr, table.shift_ppm) == (0.084, 21.0, -0.008)
    assert (table.phase_deg, table.phase_deg_per_ppm) == (-179.0, -12.2)
    assert table.diagnostics == ("2 info's FINOUT 9", "1 warning STARTV 5")
    assert table.row("PCr+Cr").concentration == 1.822
    assert table.row("Tau") is None


def test_a_run_without_concentrations_says_what_lcmodel_said(tmp_path):
    text = table_text(diagnostics=("   1 FATAL     MYBASI  4",))
    start = text.index("$$CONC")
    (tmp_path / "t").write_text(text[:start] + text[text.index("$$DIAG") :])
    with pytest.raises(InputError, match="FATAL MYBASI 4"):
        read_lcmodel_table(tmp_path / "t")
    (tmp_path / "t").write_text("")
    with pytest.raises(InputError, match="no such file, or an empty one"):
        read_lcmodel_table(tmp_path / "t")


def coord_text(ppm, curves, own):
    def block(values, width, form):
        rows = [values[k : k + 10] for k in range(0, len(values), 10)]
        return "".join(" " + "".join(format(v, f"{width}{form}") for v in row) + "\n" for row in rows)

    text = " LCModel (Version 6.3-1R)\n  9 lines in following concentration table = NCONC+1\n"
    text += "".join(f" {row}\n" for row in ROWS.splitlines())
    text += "   4 lines in following misc. output table\n" + "".join(f" {row}\n" for row in MISC.splitlines())
    text += f" {len(ppm):4d} points on ppm-axis = NY\n" + block(ppm, 13, ".6f")
    for title, values in zip(
        ("NY phased data points follow", "NY points of the fit to the data follow", "NY background values follow"),
        curves,
        strict=True,
    ):
        text += f" {title}\n" + block(values, 13, ".5E")
    for name, values in own.items():
        text += f" {name:6}   Conc. = 1.20E+00\n" + block(values, 13, ".5E")
    return (
        text
        + "   1 lines in following diagnostic table:\n   1 info      FINOUT  9\n"
        + "   0 lines in following table of input changes:\n\n"
    )


def test_curves_and_table_of_a_coord_file(tmp_path):
    ppm = np.linspace(4.0, 0.2, 23)
    curves = [np.sin(ppm), -np.cos(ppm) * 1e-5, ppm * 1e3]
    (tmp_path / "c").write_text(coord_text(ppm, curves, {"Cr": ppm - 2, "-CrCH2": ppm + 2}))
    found = read_lcmodel_curves(tmp_path / "c")
    for got, wanted in zip((found.ppm, found.data, found.fit, found.background), (ppm, *curves), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5)
    assert set(found.components) == {"Cr", "-CrCH2"}
    np.testing.assert_allclose(found.components["-CrCH2"], ppm + 2, rtol=1e-5)
    assert read_lcmodel_table(tmp_path / "c").row("NAA+NAAG").ratio == 1.306
    (tmp_path / "c").write_text(coord_text(ppm, [curves[0][:-1], *curves[1:]], {}))
    with pytest.raises(InputError, match="different lengths"):
        read_lcmodel_curves(tmp_path / "c")


def printed_lines():
    """Text of the page that LCModel printed for its own example, up to its second, wider copy."""
    page = (DATA / "out_ref_build.ps").read_text(encoding="latin-1").split("showpage")[0]
    return [text.replace("\\(", "(").replace("\\)", ")") for text in re.findall(r"\{\((.*)\)s\}", page)]


@pytest.mark.shared_data
@pytest.mark.skipif(not DATA.is_dir(), reason="no shared data")
def test_lcmodels_own_results_are_read(tmp_path):
    printed = printed_lines()
    rows = [text for text in printed if "%" in text]
    misc = "\n".join(text for text in printed if text.startswith((" FWHM", " Data", " Ph")))
    (tmp_path / "t").write_text(table_text("\n".join(rows), misc, ()))
    table = read_lcmodel_table(tmp_path / "t")
    assert len(table.rows) == len(rows) - 1 == 35
    assert table.reference == "Cr+PCr"
    ratios = {name: table.row(name).ratio for name in ("NAA+NAAG", "GPC+PCh", "Ins", "Glu+Gln", "Cr+PCr")}
    assert ratios == {"NAA+NAAG": 1.306, "GPC+PCh": 0.25, "Ins": 0.911, "Glu+Gln": 1.51, "Cr+PCr": 1.0}
    assert table.row("-CrCH2").sd_percent == 999.0
    assert (table.fwhm_ppm, table.snr, table.shift_ppm, table.phase_deg) == (0.084, 21.0, 0.008, 9.0)


@pytest.mark.shared_data
@pytest.mark.skipif(not DATA.is_dir(), reason="no shared data")
def test_lcmodels_own_data_come_back_as_they_were(tmp_path):
    control = read_lcmodel_control(DATA / "control.file")
    spectrum = read_lcmodel_raw(DATA / "data.raw", control.dwell, control.carrier_mhz)
    text = format_lcmodel_raw(spectrum)
    numbers = [np.array(t.split("$END")[-1].split(), float) for t in (text, (DATA / "data.raw").read_text())]
    np.testing.assert_allclose(numbers[0], numbers[1], rtol=1e-6)
    key = re.search(r"key\s*=\s*(\d+)", (DATA / "control.file").read_text(), re.IGNORECASE)[1]
    assert f" KEY={key}\n" in format_lcmodel_control(spectrum, water=False)


FORTRAN = """
      program reader
      character filbas*255, filraw*255, filh2o*255, filtab*255, filcoo*255, fmtdat*80, id*20, seq*5
      logical dows, doecc, seqacq, bruker
      integer key(64), nunfil, neach, ltable, lcoord, lps
      real deltat, hzpppm, echot, tramp, volume
      complex datat(65536)
      namelist /lcmodl/ key, nunfil, deltat, hzpppm, echot, dows, doecc, neach, filbas, filraw, filh2o, ltable, &
        filtab, lcoord, filcoo, lps
      namelist /seqpar/ hzpppm, echot, seq
      namelist /nmid/ id, fmtdat, tramp, volume, seqacq, bruker
      read (5, nml=lcmodl)
      print '(a)', trim(filraw), trim(filbas), trim(filtab)
      open (1, file=filraw, status='old')
      read (1, nml=seqpar)
      rewind 1
      bruker = .false.
      read (1, nml=nmid)
      read (1, fmtdat) (datat(j), j = 1, nunfil)
      print *, key(1), nunfil, deltat, hzpppm, echot, dows, doecc, ltable, lps
      print *, real(datat(1)), aimag(datat(2)), real(datat(nunfil)), bruker, tramp, volume
      end
"""


if shutil.which("gfortran"):  # an extra oracle where there is a compiler; the package does not need one

    def test_fortran_reads_control_and_data_by_its_namelists(tmp_path):
        spectrum = line()
        (tmp_path / "reader.f90").write_text(FORTRAN)
        subprocess.run(["gfortran", "-o", "reader", "reader.f90"], cwd=tmp_path, check=True)
        (tmp_path / "data.raw").write_text(format_lcmodel_raw(spectrum, "it's"))
        said = subprocess.run(
            [tmp_path / "reader"],
            cwd=tmp_path,
            input=format_lcmodel_control(spectrum, water=True).encode(),
            check=True,
            capture_output=True,
        ).stdout.decode()
        lines = said.splitlines()
        assert [text.strip() for text in lines[:3]] == ["data.raw", "basis.basis", "out.table"]
        words = lines[3].split()
        assert words[:2] == ["210387309", "512"]
        assert [float(word) for word in words[2:5]] == pytest.approx([5e-4, 123.2, 30.0])
        assert words[5:] == ["T", "F", "7", "0"]
        values = [float(word) for word in lines[4].split()[:3]]
        on_disk = np.conj(spectrum.fid)
        assert values == pytest.approx([on_disk[0].real, on_disk[1].imag, on_disk[-1].real], rel=1e-6)
        assert lines[4].split()[3:] == ["F", "1.00000000", "1.00000000"]
