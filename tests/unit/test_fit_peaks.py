"""The peak model against closed forms, planted spectra and its own table's rules."""

import math

import numpy as np
import pytest

from mrs_pipeline.config import FitSection, preset_names
from mrs_pipeline.errors import FitError, StudyError
from mrs_pipeline.fit import read_fit, write_fit
from mrs_pipeline.fit.objective import Objective
from mrs_pipeline.fit.peaks import fit_peaks, peak_noise
from mrs_pipeline.fit.peaks_model import line_weights, make_peak_model
from mrs_pipeline.fit.peaks_result import tissue_ph
from mrs_pipeline.fit.peaks_table import PeakLine, PeakTable, checked, load_peaks
from mrs_pipeline.nifti_mrs import NiftiMrs
from mrs_pipeline.spectrum import Spectrum

MHZ, DWELL, POINTS = 51.7, 1 / 5000, 1024
SETTINGS = FitSection(model="peaks", peaks="31p-brain")
BRAIN = {
    "PE": 2.5, "PC": 0.7, "Piex": 0.4, "Pi": 1.2, "GPE": 1.0, "GPC": 1.6, "MP": 3.0, "PCr": 4.5, "gATP": 3.0,
    "aATP": 3.0, "NAD": 0.5, "bATP": 3.0,
}  # fmt: skip


def empty(points=POINTS, dwell=DWELL, nucleus="31P", mhz=MHZ, reference=0.0):
    return Spectrum(np.ones(points), dwell, mhz, reference, nucleus=nucleus)


def planted(spectrum, table, amplitudes, noise_sd, seed=0, **theta):
    """Signal of a table made by its own formula, line by line, not by the model's code."""
    rng = np.random.default_rng(seed)
    t, fid = spectrum.time, np.zeros(spectrum.n_points, complex)
    begin, pivot = theta.get("begin", 0.0), table.line(table.reference).ppm
    for line in table.lines:
        width = theta.get(f"width_{line.name}", line.width_hz)
        for number, weight in enumerate(line.pattern):
            offset = ((len(line.pattern) - 1) / 2 - number) * theta.get(f"j_{line.name}", line.j_hz)
            own = theta.get("shift", 0.0) + theta.get(f"shift_{line.name}", 0.0) + offset
            hz = (line.ppm - spectrum.reference_ppm) * spectrum.carrier_mhz + own
            from_pivot = (line.ppm - pivot) * spectrum.carrier_mhz + own
            phase = theta.get("phi0", 0.0) + 2 * np.pi * from_pivot * begin + np.deg2rad(line.phase_deg)
            size = amplitudes[line.name] * line.nuclei * weight / sum(line.pattern)
            decay = np.pi * width * (t + begin) + (np.pi * line.gauss_hz * (t + begin)) ** 2 / (4 * np.log(2))
            fid += size * np.exp(1j * (phase + 2 * np.pi * hz * t) - decay)
    noise = noise_sd * (rng.normal(size=t.size) + 1j * rng.normal(size=t.size))
    return spectrum.with_fid(fid + noise)


MOVED = {"phi0": 0.9, "shift": 20.0, "begin": 4e-4, "shift_Pi": -3.0, "width_PCr": 9.0, "shift_bATP": 4.0}


def test_planted_31p_brain_comes_back():
    table = load_peaks("31p-brain")
    data = planted(empty(), table, BRAIN, 0.1, seed=3, **MOVED)
    fit = fit_peaks(data, SETTINGS)
    assert fit.status == "ok"
    assert fit.names == table.names
    deviation = (fit.amplitudes - np.array([BRAIN[name] for name in fit.names])) / fit.crlb
    assert np.abs(deviation).max() < 3.5
    assert fit.nonlinear["begin"]["value"] == pytest.approx(4e-4, abs=4 * fit.nonlinear["begin"]["sd"])
    assert fit.nonlinear["shift"]["value"] + fit.nonlinear["start_shift"]["value"] == pytest.approx(20.0, abs=0.3)
    assert fit.fwhm_hz == pytest.approx(9.0, abs=0.3)
    assert fit.metrics["ratio_PCr_PCr"] == 1.0
    assert fit.metrics["ratio_Pi_PCr"] == pytest.approx(1.2 / 4.5, abs=0.02)
    assert fit.metrics["ppm_Pi"] - fit.metrics["ppm_PCr"] == pytest.approx(4.82 - 3.0 / MHZ, abs=0.01)
    assert fit.metrics["ph"] == pytest.approx(tissue_ph(4.82 - 3.0 / MHZ), abs=0.02)


def test_phosphates_of_atp_with_widths_of_their_own_come_back():
    """As in a brain at 7 T (benchmarks/fit_peaks_peer.py): one width for all three would take 15 % from bATP."""
    table, widths = (
        load_peaks("31p-brain"),
        {"width_bATP": 47.0, "width_aATP": 25.0, "width_gATP": 33.0, "width_NAD": 33.0},
    )
    scan = empty(dwell=1e-4, mhz=120.0)
    fits = [fit_peaks(planted(scan, table, BRAIN, 0.2, seed=seed, **widths), SETTINGS) for seed in range(4)]
    assert {fit.status for fit in fits} == {"ok"}
    for name in ("aATP", "bATP", "gATP"):
        assert np.mean([fit.combination({name: 1.0})[0] for fit in fits]) == pytest.approx(BRAIN[name], rel=0.03)
        found = np.mean([fit.metrics[f"width_{name}_hz"] for fit in fits])
        assert found == pytest.approx(widths[f"width_{name}"], rel=0.08)


@pytest.mark.parametrize("phi0", [0.0, 2.0, -2.9])
@pytest.mark.parametrize("shift", [-40.0, 35.0])
def test_any_phase_and_shift_within_range_is_found(phi0, shift):
    table = load_peaks("31p-brain")
    fit = fit_peaks(planted(empty(), table, BRAIN, 0.2, seed=1, phi0=phi0, shift=shift), SETTINGS)
    found = dict(zip(fit.names, fit.amplitudes, strict=True))
    assert fit.status == "ok"
    assert found["PCr"] == pytest.approx(4.5, abs=0.2)
    assert found["bATP"] == pytest.approx(3.0, abs=0.25)


def single(width=8.0, sd=math.inf, **fields):
    line = PeakLine("PCr", 0.0, width_hz=width, width_sd_hz=sd, shift_sd_ppm=0.0, **fields)
    return PeakTable((line,), "31P", "PCr", (-48.0, 48.0), shift_range_ppm=0.5)


@pytest.mark.parametrize(("width", "amplitude"), [(8.0, 5.0), (20.0, 12.0)])
def test_crlb_of_one_lorentzian_line_is_the_closed_form(width, amplitude):
    """One damped line in white noise of SD s per channel: the information matrix splits into amplitude and damping, and
    phase and frequency, with the geometric sums S_k of t^k exp(-2 d t) (Cavassila 2001, doi:10.1002/nbm.701). The
    imaginary part of the very first point is not seen by a real spectrum: phase and frequency lack its share."""
    data = planted(empty(4096), single(width), {"PCr": amplitude}, 1e-5, seed=2)
    fit = fit_peaks(data, SETTINGS, single(width))
    noise = fit.noise_sd / np.sqrt(data.n_points)
    assert noise == pytest.approx(1e-5, rel=0.08)
    decay = np.pi * width
    q = np.exp(-2 * decay * DWELL)
    sums = np.array([1 / (1 - q), q * DWELL / (1 - q) ** 2, q * (1 + q) * DWELL**2 / (1 - q) ** 3])

    def bounds(first):
        matrix = [[sums[0] - 1 + first, sums[1]], [sums[1], sums[2]]]
        return noise * np.sqrt(np.diag(np.linalg.inv(matrix)))

    size, rate = bounds(1)
    assert fit.crlb[0] == pytest.approx(size, rel=1e-3)
    assert fit.nonlinear["width_PCr"]["sd"] == pytest.approx(rate / (np.pi * amplitude), rel=1e-3)
    angle, turn = bounds(0)
    assert fit.nonlinear["phi0"]["sd"] == pytest.approx(angle / amplitude, rel=1e-3)
    assert fit.nonlinear["shift"]["sd"] == pytest.approx(turn / (2 * np.pi * amplitude), rel=1e-3)
    assert size == pytest.approx(2 * noise * np.sqrt(decay * DWELL), rel=2.5 * decay * DWELL)  # continuous time


def test_a_known_width_halves_the_variance_of_the_amplitude():
    data = planted(empty(4096), single(), {"PCr": 5.0}, 0.05, seed=2)
    free, held = (fit_peaks(data, SETTINGS, single(sd=sd)) for sd in (math.inf, 0.0))
    assert held.crlb[0] / free.crlb[0] == pytest.approx(np.sqrt(0.5), rel=0.02)


def test_scatter_over_draws_is_the_bound():
    table = single()
    fits = [fit_peaks(planted(empty(512), table, {"PCr": 5.0}, 0.3, seed=k), SETTINGS, table) for k in range(80)]
    found = np.array([fit.amplitudes[0] for fit in fits])
    assert found.mean() == pytest.approx(5.0, abs=0.04)
    assert np.mean([fit.crlb[0] for fit in fits]) / found.std(ddof=1) == pytest.approx(1.0, abs=0.22)


def rich_table():
    """Every kind of link at once."""
    lines = (
        PeakLine("A", 1.0, pattern=(1.0, 2.0, 1.0), j_hz=14.0, j_sd_hz=1.0, width_hz=6.0, gauss_hz=4.0,
                 gauss_sd_hz=2.0, phase_sd_deg=20.0, shift_sd_ppm=0.05),
        PeakLine("B", -3.0, width_with="A", width_factor=1.5, gauss_with="A", shift_with="A", phase_with="A"),
        PeakLine("C", 4.0, ratio_to="A", ratio=0.5, ratio_sd=0.1, shift_sd_ppm=math.inf, shift_max_ppm=0.3,
                 signed=True),
        PeakLine("D", -6.0, ratio_to="B", ratio=2.0, nuclei=3.0),
    )  # fmt: skip
    return checked(PeakTable(lines, "31P", "A", (-9.0, 8.0), begin_ms=0.2, begin_sd_ms=0.2, skip=3))


def test_jacobian_equals_complex_step():
    table = rich_table()
    truth = {"A": 2.0, "B": 1.0, "C": -0.7, "D": 2.0}
    data = planted(empty(300), table, truth, 0.05, seed=4, phi0=0.4, begin=3e-4)
    model = make_peak_model(data, table, table.ppm)
    rows = np.array([[-0.5, 0.0, 1.0]]) / 0.2
    objective = Objective(model, model.to_window(data.fid * model.used).real, 0.8, None, 0.0, rows)
    theta = model.start + 0.1 * np.random.default_rng(1).normal(size=len(model.parameters))
    theta[model.index["begin"]] = 3e-4
    free = objective.at(theta).solution.free
    assert free.all()
    analytic = objective.jacobian(theta)

    def projected(point):
        # real spectra by cosines and sines alone, so that complex parameters continue them analytically
        begin, nu = model.begin.at(point)[0], model.frequency.at(point)[:, None]
        t, gauss = model.time + begin, model.gauss.at(point)[:, None]
        angle = model.angle.at(point)[:, None] + 2 * np.pi * (nu * model.time + (nu - model.pivot_hz) * begin)
        size = np.exp(-np.pi * model.width.at(point)[:, None] * t - (np.pi * gauss * t) ** 2 / (4 * np.log(2)))
        count = model.time.size
        turns = np.pi / count * np.outer(np.arange(count), np.arange(*model.bins) - count)
        real, imaginary = (model.membership @ (size * wave(angle) * model.used) for wave in (np.cos, np.sin))
        spectra = real @ np.cos(turns) + imaginary @ np.sin(turns)
        design = objective.whiten(spectra.real) + 1j * objective.whiten(spectra.imag)
        amplitudes = np.linalg.solve(design @ design.T + rows.T @ rows, design @ objective.target)
        return np.concatenate([objective.target - amplitudes @ design, -rows @ amplitudes])

    for column, position in enumerate(objective.varying):
        moved = theta.astype(complex)
        moved[position] += 1e-30j
        wanted = projected(moved).imag / 1e-30
        assert np.abs(analytic[: wanted.size, column] - wanted).max() <= 1e-8 * max(np.abs(wanted).max(), 1.0), (
            model.names[position]
        )


def test_links_of_shift_width_phase_and_amplitude_hold():
    table = rich_table()
    truth = {"A": 2.0, "B": 1.0, "C": 1.1, "D": 2.0}
    data = planted(empty(), table, truth, 0.01, seed=4, phi0=0.4, begin=2e-4, width_A=7.0, width_B=10.5, shift_A=1.0,
                   shift_B=1.0)  # fmt: skip
    fit = fit_peaks(data, SETTINGS, table)
    found = dict(zip(fit.names, fit.amplitudes, strict=True))
    assert found["D"] == pytest.approx(2.0 * found["B"], rel=1e-12)
    assert fit.crlb[3] == pytest.approx(2.0 * fit.crlb[1], rel=1e-12)
    assert fit.correlation[1, 3] == pytest.approx(1.0)
    assert fit.metrics["width_B_hz"] == pytest.approx(1.5 * fit.metrics["width_A_hz"], rel=1e-9)
    assert fit.metrics["ppm_A"] - fit.metrics["ppm_B"] == pytest.approx(4.0, abs=1e-9)
    for name, value in truth.items():
        assert found[name] == pytest.approx(value, rel=0.05), name


def test_amplitude_is_per_molecule_and_linear():
    table = load_peaks("1h-long-te")
    truth = {"Lac": -0.6, "NAA": 10.0, "Cr": 8.0, "GPC": 2.0, "CrCH2": 6.0}
    spectrum = empty(2048, 1 / 2500, "1H", 123.2, 4.65)
    settings = FitSection(model="peaks", peaks="1h-long-te")
    data = planted(spectrum, table, truth, 0.05, seed=5, shift=3.0, phi0=-0.5)
    fit = fit_peaks(data, settings)
    for name, value in truth.items():
        assert fit.combination({name: 1.0})[0] == pytest.approx(value, abs=4 * fit.crlb[fit.names.index(name)]), name
    twice = fit_peaks(data.with_fid(2 * data.fid), settings)
    np.testing.assert_allclose(twice.amplitudes, 2 * fit.amplitudes, rtol=1e-5)
    assert fit.ratio("NAA", "tCr")[0] == pytest.approx(10 / 8, rel=0.02)


def test_first_points_can_be_left_out():
    """A broad signal under the first points does no harm once they are left out."""
    line = PeakLine("PCr", 0.0, width_hz=8.0, shift_sd_ppm=0.0)
    spectrum = planted(empty(2048), PeakTable((line,), "31P", "PCr"), {"PCr": 5.0}, 0.02, seed=1)
    broad = spectrum.with_fid(spectrum.fid + 40.0 * np.exp(-np.pi * 1500.0 * spectrum.time))
    tables = [PeakTable((line,), "31P", "PCr", (-20.0, 20.0), skip=skip) for skip in (0, 15)]
    biased, clean = (fit_peaks(broad, SETTINGS, table) for table in tables)
    assert abs(biased.amplitudes[0] - 5.0) > 0.3
    assert clean.amplitudes[0] == pytest.approx(5.0, abs=0.05)


def test_result_survives_its_files(tmp_path):
    table = load_peaks("31p-brain")
    data = planted(empty(), table, BRAIN, 0.1, seed=3, **MOVED)
    fit = fit_peaks(data, SETTINGS)
    write_fit(fit, tmp_path / "fit.json", tmp_path / "fit.nii.gz", NiftiMrs(data, np.eye(4), {}))
    back = read_fit(tmp_path / "fit.json", tmp_path / "fit.nii.gz")
    np.testing.assert_allclose(back.amplitudes, fit.amplitudes)
    np.testing.assert_allclose(back.ppm, fit.ppm)
    np.testing.assert_allclose(back.model, fit.model, atol=2e-5 * np.abs(fit.model).max())
    assert back.names == fit.names
    assert back.nonlinear["phi0"]["sd"] == pytest.approx(fit.nonlinear["phi0"]["sd"])


def test_curves_are_upright_and_add_up():
    table = load_peaks("31p-brain")
    fit = fit_peaks(planted(empty(), table, BRAIN, 0.1, seed=3, **MOVED), SETTINGS)
    np.testing.assert_allclose(fit.data, fit.model + fit.residual, atol=1e-9)
    np.testing.assert_allclose(sum(fit.components.values()), fit.model, atol=1e-9)
    top = int(np.argmax(np.abs(fit.model)))
    assert fit.ppm[top] == pytest.approx(0.0, abs=0.1)
    assert np.angle(fit.model[top]) == pytest.approx(0.0, abs=0.3)


def test_noise_without_signal_fails():
    data = empty().with_fid(np.random.default_rng(0).normal(size=(2, POINTS)).T @ [1, 1j])
    fit = fit_peaks(data, SETTINGS)
    assert fit.status == "failed"
    assert "no_signal" in fit.flags


def test_a_wrong_table_is_flagged_as_misfit():
    strange = PeakTable((PeakLine("X", 0.0, shift_sd_ppm=0.0), PeakLine("Y", 9.0)), "31P", "X", (-20.0, 11.0))
    fit = fit_peaks(planted(empty(), load_peaks("31p-brain"), BRAIN, 0.1, seed=3), SETTINGS, strange)
    assert "misfit" in fit.flags
    assert fit.status != "ok"


def test_noise_is_measured_between_the_peaks():
    table = load_peaks("31p-brain")
    found = peak_noise(planted(empty(), table, BRAIN, 0.3, seed=1), table)
    assert found == pytest.approx(0.3 * np.sqrt(POINTS), rel=0.12)


@pytest.mark.parametrize("name", preset_names("peaks"))
def test_shipped_tables_are_sound(name):
    table = load_peaks(name)
    assert table.title
    assert table.nucleus in {"1H", "31P"}
    low, high = table.ppm
    assert all(low < line.ppm < high for line in table.lines)


def test_tsv_and_toml_say_the_same(tmp_path):
    (tmp_path / "p.toml").write_text(
        'nucleus = "31P"\nreference = "PCr"\nppm = [-20, 10]\nskip = 2\n[[peaks]]\nname = "PCr"\nppm = 0.0\n'
        '[[peaks]]\nname = "gATP"\nppm = -2.5\npattern = [1, 1]\nj_hz = 16\nwidth_with = "PCr"\nsigned = true\n'
    )
    (tmp_path / "p.tsv").write_text(
        "# nucleus = 31P\n# reference = PCr\n# ppm = -20:10\n# skip = 2\nname\tppm\tpattern\tj_hz\twidth_with\tsigned\n"
        "PCr\t0.0\t\t\t\t\ngATP\t-2.5\t1:1\t16\tPCr\ttrue\n"
    )
    assert load_peaks(str(tmp_path / "p.tsv")) == load_peaks(str(tmp_path / "p.toml"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[[peaks]]\nname = "A"\nppm = 1\nwidth_with = "B"\n', "'B' is not in the table"),
        ('[[peaks]]\nname = "A"\nppm = 1\nshift_with = "A"\n', "circle"),
        ('[[peaks]]\nname = "A"\nppm = 1\nwidht_hz = 3\n', "widht_hz"),
        ('[[peaks]]\nname = "A"\nppm = 1\n[[peaks]]\nname = "A"\nppm = 2\n', "share a name"),
        ('reference = "Z"\n[[peaks]]\nname = "A"\nppm = 1\n', "reference peak 'Z'"),
        ('[[peaks]]\nname = "A"\nppm = 1\nwidth_hz = 300\n', "outside its limits"),
        ("peaks = []\n", "no peak"),
    ],
)
def test_mistakes_in_a_table_are_named(tmp_path, text, problem):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(StudyError, match=problem):
        load_peaks(str(path))


def test_mistakes_in_a_tsv_are_named(tmp_path):
    path = tmp_path / "bad.tsv"
    path.write_text("name\tppm\twidth\nA\t1.0\t3\n")
    with pytest.raises(StudyError, match="unknown column or setting 'width'"):
        load_peaks(str(path))
    path.write_text("name\tppm\nA\tone\n")
    with pytest.raises(StudyError, match="'one' is not a float"):
        load_peaks(str(path))
    with pytest.raises(StudyError, match="cannot be read"):
        load_peaks(str(tmp_path / "none.tsv"))


def test_data_that_cannot_be_fitted_are_refused():
    with pytest.raises(FitError, match="for 31P, the scan is of 1H"):
        fit_peaks(empty(nucleus="1H", reference=0.0), SETTINGS)
    with pytest.raises(FitError, match="empty or not finite"):
        fit_peaks(empty().with_fid(np.zeros(POINTS)), SETTINGS)
    with pytest.raises(FitError, match="lie outside the fitted window"):
        fit_peaks(empty(dwell=1 / 1000), SETTINGS)
    with pytest.raises(FitError, match="one expected"):
        fit_peaks(empty().with_fid(np.ones((2, POINTS)), ("DIM_DYN",)), SETTINGS)


@pytest.mark.parametrize(
    ("shift", "wanted"), [(3.0, None), (4.485, 6.77), (5.5, 6.77 + math.log10(2.21 / 0.18)), (6.0, None)]
)
def test_ph_follows_the_titration_curve(shift, wanted):
    found = tissue_ph(shift)
    assert found is None if wanted is None else found == pytest.approx(wanted, abs=1e-3)


def test_weights_of_multiplets_sum_to_the_nuclei():
    table = rich_table()
    np.testing.assert_allclose(line_weights(table).sum(axis=1), [line.nuclei for line in table.lines])


@pytest.mark.parametrize(
    ("key", "value"), [("second_engine", "lcmodel"), ("joint_visits", True), ("posterior", "emcee")]
)
def test_settings_that_need_basis_signals_are_refused_with_the_peak_model(key, value):
    with pytest.raises(ValueError, match=f"{key} belongs to"):
        FitSection(model="peaks", **{key: value})
