"""Reading, normalising, resampling and writing basis sets."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mrs_pipeline.basis import Basis, canonical_name, load_basis, save_basis, save_figure, simulate_basis
from mrs_pipeline.basis.lcmodel import format_lcmodel, read_lcmodel
from mrs_pipeline.basis.normalise import line_amplitude, normalise
from mrs_pipeline.errors import BasisError

DATA = Path(__file__).parents[3] / "shared" / "data"
NAMES = ("Cr", "NAA", "Glu", "Ins", "PCh", "sIns")


@pytest.fixture(scope="module")
def basis():
    return simulate_basis("press", te1=0.011, te2=0.019, bandwidth=4000, n_points=1024, names=NAMES, linewidth_hz=3)


def worst(a, b):
    return max(np.abs(a.fid(n) - b.fid(n)).max() / np.abs(b.fid(n)).max() for n in b.names)


@pytest.mark.parametrize("target", ["a.basis", "a.txt", "a.fsl", "a.nifti"])
def test_round_trip_keeps_signal_timing_and_grid(basis, tmp_path, target):
    save_basis(basis, tmp_path / target)
    back = load_basis(tmp_path / target)
    assert set(back.names) == set(basis.names)
    assert worst(back, basis) < 1e-6
    assert (back.te1, back.te2, back.sequence, back.pulses) == (0.011, 0.019, "press", "ideal")
    assert back.field_mhz == pytest.approx(123.2)
    assert back.dwell == pytest.approx(0.00025)
    assert back.n_points == 1024
    assert back.scale == pytest.approx(1.0, abs=1e-6)


def test_written_basis_has_the_blocks_lcmodel_reads(basis):
    text = format_lcmodel(basis)
    assert re.findall(r"\$(\w+)", text)[:6] == ["SEQPAR", "END", "BASIS1", "END", "NMUSED", "END"]
    assert "METABO = 'Scyllo'" in text
    assert "NDATAB = 2048" in text
    title = re.search(r"IDBASI = '([^']*)'", text)
    assert title is not None
    assert len(title[1]) <= 76
    assert max(len(line) for line in text.splitlines()) <= 80
    numbers = [line for line in text.splitlines() if re.match(r"^[ -]+\d\.", line)]
    assert len(numbers) == 2048 // 2 * len(NAMES)


def test_names_too_long_for_lcmodel_are_refused(basis):
    with pytest.raises(BasisError, match="6 characters"):
        format_lcmodel(replace(basis, names=("Cr", "NAA", "Glutamate", "Ins", "PCh", "sIns")))


def messy(text):
    text = text.replace("$SEQPAR", "$seqpar").replace("HZPPPM = ", "hzpppm=").replace("$BASIS\n", "$Basis\n")
    text = re.sub(r"ECHOT = [\d.]+", "ECHOT =", text)
    return re.sub(r"IDBASI = '[^']*'", "IDBASI =\n 'made = by hand; no times'", text).replace(
        " $END\n $BASIS1", " &END\n &BASIS1"
    )


def test_case_spacing_empty_keys_and_line_breaks_do_not_matter(basis, tmp_path):
    path = tmp_path / "messy.BASIS"
    path.write_text(messy(format_lcmodel(basis)))
    back = load_basis(path)
    assert worst(back, basis) < 1e-6
    assert back.echo_time is None


def test_numbers_that_touch_are_read_by_their_width(basis, tmp_path):
    small = simulate_basis("press", te1=0.011, te2=0.019, bandwidth=4000, n_points=64, names=["Cr"])
    text = format_lcmodel(small).replace("(4E17.9)", "(4E16.9)")
    text = re.sub(r"^( [ -]\d\..*)$", lambda m: "".join(v.rjust(16) for v in m[1].split()), text, flags=re.MULTILINE)
    assert re.search(r"E[+-]\d\d-\d", text)
    path = tmp_path / "tight.basis"
    path.write_text(text)
    assert read_lcmodel(path).fids.shape == (1, 128)


def test_ishift_moves_the_nominal_carrier(basis, tmp_path):
    path = tmp_path / "shifted.basis"
    path.write_text(format_lcmodel(basis).replace("ISHIFT = 0", "ISHIFT = -16"))
    assert read_lcmodel(path).reference_ppm == pytest.approx(4.65 - 16 / (2048 * 0.00025 * 123.2))


def test_cut_and_foreign_files_are_named(basis, tmp_path):
    cut = tmp_path / "cut.basis"
    cut.write_text(format_lcmodel(basis)[:-400])
    with pytest.raises(BasisError, match=r"cut\.basis.*cut short"):
        load_basis(cut)
    empty = tmp_path / "empty.basis"
    empty.write_text("")
    with pytest.raises(BasisError, match="BASIS block"):
        load_basis(empty)
    with pytest.raises(BasisError, match="no such file"):
        load_basis(tmp_path / "absent.basis")
    other = tmp_path / "other.xyz"
    other.write_text("x")
    with pytest.raises(BasisError, match="known basis format"):
        load_basis(other)


def test_normalise_undoes_scale_carrier_mirror_and_halving(basis):
    carrier = (4.65 - 4.68) * 123.2
    fids = 0.0123 * basis.fids * np.exp(2j * np.pi * carrier * basis.time)
    fids[:, 0] /= 2
    spoiled = replace(basis, fids=np.conj(fids))
    back = normalise(spoiled)
    assert worst(back, basis) < 0.02
    assert back.scale == pytest.approx(1 / 0.0123, rel=1e-4)
    assert back.reference_ppm == 4.65
    told = " ".join(back.notes)
    for word in ("halved", "mirrored", "4.680", "scaled"):
        assert word in told


def test_a_sound_set_is_left_alone(basis):
    back = normalise(basis)
    assert worst(back, basis) < 1e-6
    assert not any(word in " ".join(back.notes) for word in ("halved", "mirrored", "carrier", "removed"))


def test_reference_line_at_zero_ppm_is_removed_from_the_members_that_have_it(basis):
    fids = basis.fids.copy()
    fids[2] += 9 * np.exp(2j * np.pi * (0 - 4.65) * 123.2 * basis.time - np.pi * 2 * basis.time)
    back = normalise(replace(basis, fids=fids))
    assert "reference line at 0 ppm removed from Glu" in back.notes
    assert worst(back, basis) < 0.01


def test_line_amplitude_does_not_depend_on_the_line_shape(basis):
    for decay in (np.exp(-np.pi * 4 * basis.time), np.exp(-((np.pi * 5 * basis.time) ** 2) / (4 * np.log(2)))):
        shaped = replace(basis, fids=basis.fids * decay)
        assert abs(line_amplitude(shaped, "Cr", 3.027, (3.913,))) == pytest.approx(3.0, rel=2e-3)


def test_names_of_other_programs_map_to_ours():
    assert [canonical_name(n) for n in ("mI", "Scyllo", "PCho", "GSH", "-CrCH2", " glu ", "Mac", "Xyz")] == [
        "Ins", "sIns", "PCh", "GSH", "CrCH2", "Glu", "MM", "Xyz",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("bandwidth", "n", "reference"), [(2500.0, 512, 4.65), (5000.0, 1024, 4.7), (1300.0, 256, 3.0)]
)
def test_resampling_equals_simulating_on_the_new_grid(basis, bandwidth, n, reference):
    direct = simulate_basis("press", te1=0.011, te2=0.019, bandwidth=bandwidth, n_points=n, names=NAMES,
                            linewidth_hz=3, reference_ppm=reference)  # fmt: skip
    moved = basis.resampled(1 / bandwidth, n, reference_ppm=reference)
    assert worst(moved, direct) < 2e-5
    assert moved.reference_ppm == reference


def test_resampling_keeps_ppm_at_a_nearby_field_and_refuses_another(basis):
    moved = basis.resampled(0.00025, 1024, field_mhz=123.25)
    spectrum = moved.spectrum("sIns")
    magnitude = np.abs(np.fft.fft(spectrum.fid, 16384))
    ppm = 4.65 + np.fft.fftfreq(16384, 0.00025) / 123.25
    assert ppm[np.argmax(magnitude)] == pytest.approx(3.34, abs=0.002)
    with pytest.raises(BasisError, match="MHz"):
        basis.resampled(0.00025, 1024, field_mhz=127.7)


def test_decimation_leaves_no_wrapped_step_at_the_end(basis):
    moved = basis.resampled(0.001, 256)
    tail, start = np.abs(moved.fids[:, -16:]).max(), np.abs(moved.fids[:, 0]).max()
    assert tail < 1.2 * np.abs(basis.fids[:, -64:]).max()
    assert start == pytest.approx(np.abs(basis.fids[:, 0]).max(), rel=1e-6)


def test_a_set_shorter_than_the_scan_says_so():
    short = simulate_basis("press", te1=0.011, te2=0.019, bandwidth=4000, n_points=256, names=["Cr"])
    longer = short.resampled(0.00025, 1024)
    assert "continued with zeros" in longer.notes[-1]
    assert np.abs(longer.fids[0, 256:]).max() == 0


def test_select_and_members(basis):
    picked = basis.select(["Glu", "Cr"])
    assert picked.names == ("Glu", "Cr")
    np.testing.assert_array_equal(picked.fid("Cr"), basis.fid("Cr"))
    with pytest.raises(BasisError, match="no GABA"):
        basis.select(["GABA"])
    added = picked.with_member("MM", np.ones(1024, dtype=complex))
    assert added.names == ("Glu", "Cr", "MM")
    with pytest.raises(ValueError, match="unique"):
        Basis(("Cr", "Cr"), np.ones((2, 4), dtype=complex), 0.001, 123.2)


def test_page_shows_every_member(basis, tmp_path):
    page = save_figure(basis, tmp_path / "page.svg")
    first = page.read_bytes()
    assert save_figure(basis, tmp_path / "again.svg").read_bytes() == first
    assert first.count(b'<g id="axes_') >= len(NAMES)
    assert save_figure(basis, tmp_path / "page.png").stat().st_size > 10_000
    with pytest.raises(BasisError, match="image format"):
        save_figure(basis, tmp_path / "page.doc")


@pytest.mark.shared_data
@pytest.mark.skipif(not DATA.exists(), reason="no shared data")
@pytest.mark.parametrize(
    ("name", "members", "points", "timing"),
    [
        ("basis/3T_PRESS_Philips_35ms_noMM.BASIS", 17, 8192, (0.035, None)),
        ("basis/press_30ms_3T.basis", 17, 2472, (0.0108, 0.0192)),
        ("lcmodel_example/3t.basis", 17, 1024, (None, None)),
    ],
)
def test_files_of_three_writers_come_out_alike(name, members, points, timing):
    found = load_basis(DATA / name)
    assert len(found) == members
    assert found.n_points == points
    assert (found.te1, found.te2) == timing
    assert found.reference_ppm == 4.65
    assert "first point was halved" in " ".join(found.notes)
    assert abs(line_amplitude(found, "Cr", 3.027, (3.913, 6.649))) == pytest.approx(3.0, rel=1e-6)
    for member, ppm in (("NAA", 2.008), ("Cr", 3.027), ("sIns", 3.340)):
        spectrum = np.abs(np.fft.fft(found.fid(member), 65536))
        axis = 4.65 + np.fft.fftfreq(65536, found.dwell) / found.field_mhz
        assert axis[np.argmax(spectrum)] == pytest.approx(ppm, abs=0.004)


@pytest.mark.shared_data
@pytest.mark.skipif(not DATA.exists(), reason="no shared data")
def test_generic_shaped_pulses_come_close_to_a_set_made_with_a_vendors_own():
    """FID-A's set for Philips: root mean square difference at a linewidth of 8 Hz, of NAA's aspartyl part alone."""
    other = load_basis(DATA / "basis" / "3T_PRESS_Philips_35ms_noMM.BASIS").resampled(5e-4, 2048, 127.731, 4.65)
    limits = {"NAA": 0.13, "Glu": 0.04, "Gln": 0.06, "GABA": 0.09, "Lac": 0.06, "Asp": 0.10, "Ins": 0.025}
    ours = simulate_basis("press", te1=0.014, te2=0.021, field_mhz=127.731, dwell=5e-4, n_points=2048,
                          names=("Cr", *limits), pulses="shaped")  # fmt: skip
    decay = np.exp(-((np.pi * 8.0 * other.time) ** 2) / (4 * np.log(2)))
    ppm = 4.65 + np.fft.fftfreq(4096, 5e-4) / 127.731
    halved = np.where(np.arange(2048) == 0, 0.5, 1.0)
    for name, limit in limits.items():
        inside = (ppm > (2.25 if name == "NAA" else 0.5)) & (ppm < 4.2)
        theirs, mine = (np.fft.fft(s.fid(name) * decay * halved, 4096).real[inside] for s in (other, ours))
        assert np.linalg.norm(theirs - mine) < limit * np.linalg.norm(theirs), name


@pytest.mark.shared_data
@pytest.mark.skipif(not DATA.exists(), reason="no shared data")
@pytest.mark.parametrize(
    ("file", "te", "members", "least"),
    [
        (
            "lcmodel_example/3t.basis",
            (0.010, 0.020),
            ("Ala", "Asp", "Cr", "Gln", "Glu", "Ins", "Lac", "PCr", "Tau"),
            0.9999,
        ),
        (
            "basis/press_30ms_3T.basis",
            (0.0108, 0.0192),
            ("Ala", "Asp", "Glc", "Gln", "Glu", "Ins", "Lac", "PCh", "Tau"),
            0.999,
        ),
    ],
)
def test_other_simulators_agree_metabolite_by_metabolite(file, te, members, least):
    from scipy.optimize import least_squares

    other = load_basis(DATA / file).select([*dict.fromkeys(("Cr", *members))])
    ours = simulate_basis("press", te1=te[0], te2=te[1], field_mhz=other.field_mhz, dwell=other.dwell,
                          n_points=other.n_points, names=other.names)  # fmt: skip
    t = other.time
    ppm = 4.65 + np.fft.fftfreq(len(t), other.dwell) / other.field_mhz
    inside = (ppm > 0.2) & (ppm < 4.2)
    areas = {}
    for name in other.names:
        target = np.fft.fft(other.fid(name) * np.exp(-2 * np.pi * t))[inside]

        def model(p, name=name):
            shape = np.exp((2j * np.pi * p[0] - np.pi * p[1]) * t - (np.pi * p[2] * t) ** 2 / (4 * np.log(2)))
            return np.fft.fft(ours.fid(name) * shape)[inside]

        def misfit(p, target=target, model=model):
            m = model(p)
            return ((target - np.vdot(m, target) / np.vdot(m, m) * m) / np.linalg.norm(target)).view(float)

        best = min((least_squares(misfit, [0.0, 1.5, w]) for w in (0.3, 3.0)), key=lambda r: r.cost)
        m = model(best.x)
        assert abs(np.vdot(m, target)) / np.linalg.norm(m) / np.linalg.norm(target) > least, name
        areas[name] = (np.vdot(m, target) / np.vdot(m, m)).real
    for name, area in areas.items():
        assert area / areas["Cr"] == pytest.approx(1.0, abs=0.01), name
