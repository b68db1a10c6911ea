"""Physics of the simulation against closed forms and published J-evolution."""

import re
from dataclasses import replace

import numpy as np
import pytest

from mrs_pipeline.basis import DEFAULT_METABOLITES, check_match, literature, molecule, molecule_names, simulate_basis
from mrs_pipeline.basis.cache import LineCache, digest
from mrs_pipeline.basis.engine import Frame, group_lines, singlet_response
from mrs_pipeline.basis.pulses import slr
from mrs_pipeline.basis.sequences import IdealKit, Timing, default_kit, events
from mrs_pipeline.basis.systems import SpinGroup
from mrs_pipeline.errors import BasisError
from mrs_pipeline.spectrum import Spectrum

FRAME = Frame(123.2, 4.65)

PROTONS = {
    "Ala": 4, "Asc": 4, "Asp": 3, "Cr": 5, "GABA": 6, "Glc": 7, "Gln": 5, "Glu": 5, "Gly": 2, "GPC": 18,
    "GSH": 10, "Ins": 6, "Lac": 4, "NAA": 6, "NAAG": 11, "PCh": 13, "PCr": 5, "PE": 4, "sIns": 6, "Tau": 4,
    "H2O": 2, "Ace": 3, "bHB": 6, "Cho": 13, "EtOH": 5, "Ser": 3, "Thr": 5, "CrCH2": -2, "AscT": 4,
}  # fmt: skip


def pair(j, ppm=(2.0, 3.0)):
    return SpinGroup(np.array(ppm), np.array([[0.0, j], [j, 0.0]]))


def fid_of(group, sequence_events, n=2048, dwell=0.00025, frame=FRAME):
    return group_lines(group, sequence_events, frame).fid(n, dwell)


@pytest.mark.parametrize("name", molecule_names())
def test_pulse_acquire_counts_the_protons_of_the_molecule(name):
    basis = simulate_basis("pulse-acquire", bandwidth=4000, n_points=64, names=[name])
    assert basis.fids[0, 0] == pytest.approx(PROTONS[name], abs=1e-6)
    assert molecule(name).n_protons == pytest.approx(PROTONS[name])


def test_every_value_has_a_source_that_can_be_found_and_says_how_far_it_was_checked():
    known = literature()
    for name in molecule_names():
        for group in molecule(name).groups:
            assert group.sources, name
            for entry in (known[key] for key in group.sources):
                number = entry.get("doi") or entry.get("pmid") or entry["url"]
                assert re.match(r"10\.\d+/|\d{8}$|https://github\.com/.+/blob/[0-9a-f]{40}/", number)
                assert entry["checked"] in ("doi", "citation")
                assert "url" not in entry or entry["checked"] == "citation"


def test_sources_that_are_not_the_main_table():
    """The glutamate couplings of NAAG are not in Govindaraju 2000; four molecules have those of its corrigendum."""
    assert molecule("NAAG").groups[2].sources == ("govindaraju2000", "krawczyk2003")
    assert molecule("GABA").groups[0].sources == ("near2013",)
    for name in ("Cho", "PE", "Ser", "Tau"):
        assert molecule(name).groups[-1].sources == ("govindaraju2015",), name


def test_values_of_the_authors_own_table_and_of_a_second_tool():
    """NAA (aspartyl part): the table of MIDAS, Miami; beta-hydroxybutyrate: spant 7138aff, which cites de Graaf."""
    naa = molecule("NAA").groups[1]
    np.testing.assert_array_equal(naa.shifts, [4.3817, 2.6727, 2.4863])
    np.testing.assert_array_equal(naa.couplings[np.triu_indices(3, 1)], [3.861, 9.821, -15.592])
    bhb = molecule("bHB").groups[0]
    np.testing.assert_array_equal(bhb.couplings[2], [7.3, 6.3, 0.0, 6.3, 6.3, 6.3])


def test_no_exchangeable_or_dummy_spin_is_observed():
    for name in DEFAULT_METABOLITES:
        shifts = np.concatenate([group.shifts for group in molecule(name).groups])
        assert shifts.max() < 5.5
        assert shifts.min() > 1.0


def test_a_singlet_is_the_analytic_damped_exponential():
    basis = simulate_basis("press", te1=0.011, te2=0.019, bandwidth=4000, names=["sIns"], linewidth_hz=2.0)
    t = basis.time
    expected = 6 * np.exp(2j * np.pi * (3.34 - 4.65) * 123.2 * t - np.pi * 2.0 * t)
    np.testing.assert_allclose(basis.fids[0], expected, atol=1e-9)


def test_water_and_creatine_keep_the_basis_unit_in_every_sequence():
    timings = {
        "press": {"te1": 0.011, "te2": 0.019},
        "steam": {"te1": 0.020, "tm": 0.010},
        "slaser": {"te1": 0.028},
        "special": {"te1": 0.0085},
        "pulse-acquire": {},
    }
    for sequence, timing in timings.items():
        basis = simulate_basis(sequence, bandwidth=4000, n_points=256, names=["H2O", "Cr"], **timing)
        assert basis.fid("H2O")[0] == pytest.approx(2.0, abs=1e-9), sequence
        assert basis.fid("Cr")[0] == pytest.approx(5.0, abs=1e-9), sequence


def test_steam_keeps_half_of_the_magnetisation_before_scaling():
    steam = events("steam", Timing(te1=0.02, tm=0.01), IdealKit())
    assert abs(singlet_response(steam, FRAME, 2.0)) == pytest.approx(0.5)


@pytest.mark.parametrize("total", [0.020, 0.0333, 0.068, 0.1442])
def test_weakly_coupled_pair_follows_cos_pi_j_te_after_a_spin_echo(total):
    j = 7.0
    field = Frame(4000.0, 4.65)  # weak coupling to 1e-3
    echo = events("special", Timing(te1=total), IdealKit())
    start = fid_of(pair(j), echo, n=4, frame=field)[0]
    assert start == pytest.approx(2 * np.cos(np.pi * j * total), abs=2e-3)


def test_strongly_coupled_pair_matches_the_ab_closed_form():
    j, delta = 12.0, 0.1 * 123.2
    lines = group_lines(pair(j, (3.0, 3.1)), events("pulse-acquire", Timing(), IdealKit()), FRAME)
    centre = (3.05 - 4.65) * 123.2
    split = np.hypot(j, delta)
    expected_hz = np.sort([centre + a * split / 2 + b * j / 2 for a in (1, -1) for b in (1, -1)])
    np.testing.assert_allclose(lines.frequencies, expected_hz, atol=1e-6)
    inner, outer = (1 + j / split) / 2, (1 - j / split) / 2
    np.testing.assert_allclose(np.abs(lines.amplitudes), [outer, inner, inner, outer], atol=1e-9)


def test_press_of_an_ab_pair_equals_direct_matrix_exponentials():
    from scipy.linalg import expm

    j, te1, te2 = 15.0, 0.011, 0.019
    offsets = np.array([30.0, 47.0])
    ix = np.array([[0, 1], [1, 0]]) / 2
    iy = np.array([[0, -1j], [1j, 0]]) / 2
    iz = np.diag([0.5, -0.5])
    one = np.eye(2)
    ops = {k: (np.kron(o, one), np.kron(one, o)) for k, o in {"x": ix, "y": iy, "z": iz}.items()}
    h = sum(2 * np.pi * f * o for f, o in zip(offsets, ops["z"], strict=True))
    h = h + 2 * np.pi * j * sum(ops[k][0] @ ops[k][1] for k in "xyz")
    fx, fy, fz = (ops[k][0] + ops[k][1] for k in "xyz")
    rho = fz.astype(complex)
    for generator, angle in (
        (fy, np.pi / 2), (h, te1 / 2), (fx, np.pi), (h, (te1 + te2) / 2), (fx, np.pi), (h, te2 / 2),
    ):  # fmt: skip
        u = expm(-1j * angle * generator)
        rho = u @ rho @ u.conj().T
    t = np.arange(16) * 0.0005
    expected = [np.trace(expm(-1j * h * s) @ rho @ expm(1j * h * s) @ (fx + 1j * fy)) for s in t]
    ppm = offsets / 123.2 + 4.65
    found = fid_of(pair(j, tuple(ppm)), events("press", Timing(te1, te2), IdealKit()), n=16, dwell=0.0005)
    np.testing.assert_allclose(found, np.array(expected), atol=1e-9)


def test_lactate_doublet_inverts_at_one_over_j_and_returns_at_two_over_j():
    j = 6.933

    def doublet(te):
        basis = simulate_basis("press", te1=te / 4, te2=3 * te / 4, bandwidth=4000, names=["Lac"], linewidth_hz=3)
        s = basis.spectrum("Lac")
        near = np.abs(s.ppm - 1.3142) < 0.1
        return s.spectrum().real[near].sum()

    reference = simulate_basis("pulse-acquire", bandwidth=4000, names=["Lac"], linewidth_hz=3).spectrum("Lac")
    full = reference.spectrum().real[np.abs(reference.ppm - 1.3142) < 0.1].sum()
    assert doublet(1 / j) / full == pytest.approx(-1.0, abs=0.03)
    assert doublet(2 / j) / full == pytest.approx(1.0, abs=0.03)


def test_gaba_outer_lines_of_the_three_ppm_triplet_invert_at_68_ms():
    def real_at(edit, ppm):
        basis = simulate_basis("mega-press", te1=0.0128, te2=0.0552, bandwidth=2000, names=["GABA"], edit=edit,
                               linewidth_hz=5)  # fmt: skip
        s = basis.spectrum("GABA")
        return np.interp(ppm, s.ppm, s.spectrum().real)

    outer = 3.013 - 7.3 / 123.2
    assert real_at("off", outer) < 0 < real_at("on", outer)
    assert real_at("difference", outer) > 0


def test_edited_difference_is_on_minus_off_and_leaves_no_creatine():
    common = {"te1": 0.0128, "te2": 0.0552, "bandwidth": 2000.0, "n_points": 256, "names": ["Cr", "GABA"]}
    on, off, difference = (simulate_basis("mega-press", edit=e, **common) for e in ("on", "off", "difference"))
    np.testing.assert_allclose(difference.fids, on.fids - off.fids, atol=1e-9)
    assert np.abs(difference.fid("Cr")).max() < 1e-9


def test_phosphorus_and_nitrogen_broaden_but_do_not_change_the_echo():
    group = molecule("PCh").groups[1]
    without = replace(group, heteronuclei=())
    echo = events("press", Timing(0.011, 0.019), IdealKit())
    assert fid_of(group, echo, n=4)[0] == pytest.approx(fid_of(without, echo, n=4)[0], rel=5e-3)
    assert len(group_lines(group, echo, FRAME).frequencies) > len(group_lines(without, echo, FRAME).frequencies)


def test_shaped_press_of_a_singlet_is_the_ideal_one_and_couplings_are_weakened():
    common = {"te1": 0.0175, "te2": 0.0175, "bandwidth": 2000.0, "n_points": 256}
    shaped = simulate_basis("press", pulses="shaped", names=["Cr", "H2O", "Lac"], **common)
    ideal = simulate_basis("press", names=["Cr", "H2O", "Lac"], **common)
    np.testing.assert_allclose(shaped.fid("Cr"), ideal.fid("Cr"), atol=5e-3)
    np.testing.assert_allclose(shaped.fid("H2O"), ideal.fid("H2O"), atol=5e-3)
    assert np.abs(shaped.fid("Lac") - ideal.fid("Lac")).max() > 0.3


def test_shaped_press_with_broad_sharp_pulses_reaches_the_ideal_limit():
    kit = replace(default_kit(), excitation_s=0.0002, refocusing=slr(180.0, 48.0, n=768), refocusing_s=0.0008)
    common = {"te1": 0.011, "te2": 0.019, "bandwidth": 2000.0, "n_points": 256, "names": ["Lac", "Glu"]}
    shaped = simulate_basis("press", pulses="shaped", kit=kit, **common)
    ideal = simulate_basis("press", **common)
    for name in ("Lac", "Glu"):
        error = np.abs(shaped.fid(name) - ideal.fid(name)).max() / np.abs(ideal.fid(name)).max()
        assert error < 0.05, name


def test_overlapping_pulses_and_wrong_units_are_refused():
    with pytest.raises(BasisError, match="overlap"):
        simulate_basis("press", te1=0.004, te2=0.020, bandwidth=4000, pulses="shaped", names=["Cr"])
    with pytest.raises(BasisError, match="seconds"):
        simulate_basis("press", te1=11, te2=19, bandwidth=4000, names=["Cr"])
    with pytest.raises(BasisError, match="te2"):
        simulate_basis("press", te1=0.030, bandwidth=4000, names=["Cr"])
    with pytest.raises(BasisError, match="nearest: Glu"):
        simulate_basis("press", te1=0.011, te2=0.019, bandwidth=4000, names=["Glutamte"])


def test_processes_and_cache_do_not_change_a_bit(tmp_path):
    common = {"te1": 0.011, "te2": 0.019, "bandwidth": 4000.0, "n_points": 128, "names": ["Cr", "Glu", "NAA"]}
    plain = simulate_basis("press", **common)
    first = simulate_basis("press", cache_dir=tmp_path, **common)
    again = simulate_basis("press", cache_dir=tmp_path, **common)
    assert len(list(tmp_path.glob("*.npz"))) == 3
    np.testing.assert_array_equal(plain.fids, first.fids)
    np.testing.assert_array_equal(plain.fids, again.fids)


def test_cache_key_sees_timing_field_and_waveform(tmp_path):
    def key(te1, field, kit):
        sequence = events("press", Timing(te1, 0.019), kit)
        return LineCache(tmp_path, [(1.0, sequence)], Frame(field, 4.65))._path("Glu")

    shaped = default_kit()
    keys = {key(0.011, 123.2, IdealKit()), key(0.012, 123.2, IdealKit()), key(0.011, 127.7, IdealKit()),
            key(0.011, 123.2, shaped), key(0.011, 123.2, replace(shaped, refocusing_s=0.005))}  # fmt: skip
    assert len(keys) == 5
    assert digest(1.0) != digest(1)


def test_a_damaged_cache_file_is_simulated_again(tmp_path):
    common = {"te1": 0.011, "te2": 0.019, "bandwidth": 4000.0, "n_points": 64, "names": ["Cr"]}
    expected = simulate_basis("press", cache_dir=tmp_path, **common)
    stored = next(tmp_path.glob("*.npz"))
    stored.write_bytes(stored.read_bytes()[:40])
    np.testing.assert_array_equal(simulate_basis("press", cache_dir=tmp_path, **common).fids, expected.fids)


def scan(te, field=123.2):
    return Spectrum(np.ones(8, dtype=complex), 0.00025, field, echo_time=te)


def test_match_refuses_another_echo_time_and_field():
    basis = simulate_basis("press", te1=0.011, te2=0.019, bandwidth=4000, n_points=64, names=["Cr"])
    assert check_match(basis, scan(0.030)) == ()
    assert check_match(basis, scan(0.0309)) == ()
    with pytest.raises(BasisError, match="allow_te_mismatch"):
        check_match(basis, scan(0.035))
    assert "allowed" in check_match(basis, scan(0.035), allow_te_mismatch=True)[0]
    with pytest.raises(BasisError, match=r"^the basis set is for 123\.20 MHz"):
        check_match(basis, scan(0.030, field=127.7))
    assert "does not state" in check_match(replace(basis, te1=None, te2=None), scan(0.030))[0]


def test_a_mismatch_names_the_file_of_the_set(tmp_path):
    path = tmp_path / "press.basis"
    path.touch()
    basis = simulate_basis("press", te1=0.011, te2=0.019, bandwidth=4000, n_points=64, names=["Cr"])
    with pytest.raises(BasisError) as caught:
        check_match(replace(basis, source=str(path)), scan(0.035))
    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path}: the basis set is for TE 30.0 ms")
