"""Pieces of the simulation whose answer needs no simulation."""

from __future__ import annotations

import numpy as np
import pytest

from mrs_pipeline.basis.engine import (
    Frame,
    SpinSystem,
    diagonalise,
    group_lines,
    positions,
    propagate,
    shaped_propagator,
    singlet_response,
)
from mrs_pipeline.basis.pulses import ShapedPulse, gauss, hamming_sinc, hyperbolic_secant
from mrs_pipeline.basis.sequences import IdealKit, Inversion, SelectivePulse, Timing, default_kit, events
from mrs_pipeline.basis.systems import SpinGroup

FRAME = Frame(123.2, 4.65)


def system(offsets, coupling=0.0):
    couplings = np.zeros((len(offsets), len(offsets)))
    if len(offsets) > 1:
        couplings[0, 1] = couplings[1, 0] = coupling
    return SpinSystem(np.array(offsets, dtype=float), couplings)


@pytest.mark.parametrize("shape", [gauss(), hamming_sinc()])
@pytest.mark.parametrize("duration", [0.0026, 0.014])
def test_a_pulse_without_amplitude_is_free_precession(shape, duration):
    """Shifts and couplings act during a pulse as they do without one."""
    spins = system([40.0, -25.0], coupling=12.0)
    silent = ShapedPulse(shape, duration, 0.0, b1_hz=0.0)
    found = shaped_propagator(silent, spins, np.zeros(1))[0]
    expected = diagonalise(spins.offsets, spins.couplings).propagator(duration)
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_a_weak_coupling_during_a_pulse_turns_by_its_angle():
    # product operators: I1x -> I1x cos(pi J t), so that of two equal shifts of 0 nothing but J is left
    duration, coupling = 0.014, 12.0
    spins = system([0.0, 300.0], coupling)
    u = shaped_propagator(ShapedPulse(gauss(), duration, 0.0, b1_hz=0.0), spins, np.zeros(1))[0]
    first_x = np.kron(np.array([[0, 0.5], [0.5, 0]]), np.eye(2))
    seen = np.trace(u @ first_x @ u.conj().T @ first_x).real  # Tr(I1x I1x) is 1
    assert seen == pytest.approx(np.cos(np.pi * coupling * duration), abs=2e-3)


def z_of(rho):
    """Longitudinal magnetisation of one spin relative to equilibrium."""
    return float((rho[0, 0] - rho[1, 1]).real)


def inverted(pulse):
    spins = system([0.0])
    free = diagonalise(spins.offsets, spins.couplings)
    return z_of(propagate(np.diag(spins.total_m).astype(complex), (Inversion(pulse),), spins, free, FRAME))


def test_isis_subtracts_what_the_inversion_leaves():
    assert inverted(ShapedPulse(gauss(), 0.004, 0.0, axis="z", b1_hz=1e-6)) == pytest.approx(0.0, abs=1e-6)


def test_isis_doubles_what_the_inversion_turns():
    """The signal is twice the slice's share of the positions; the share follows from the bandwidth alone."""
    sweep = ShapedPulse(hyperbolic_secant(25.0), 0.004, 180.0, axis="z")
    grid = positions(sweep, FRAME)
    share = sweep.bandwidth_hz / (grid.max() - grid.min() + (grid[1] - grid[0]))
    assert inverted(sweep) == pytest.approx(2 * share, rel=0.1)


@pytest.mark.parametrize(("ppm", "turned"), [(1.9, True), (2.24, True), (1.56, True), (2.26, False), (1.54, False)])
def test_an_ideal_editing_pulse_turns_what_lies_within_half_its_width(ppm, turned):
    spins = system([(ppm - 4.65) * 123.2])
    free = diagonalise(spins.offsets, spins.couplings)
    after = propagate(np.diag(spins.total_m).astype(complex), (SelectivePulse(1.9, width_ppm=0.7),), spins, free, FRAME)
    assert z_of(after) == pytest.approx(-1.0 if turned else 1.0)


TE1, TE2 = 0.014, 0.054


def in_phase(half, coupling):
    """In-phase signal of the observed spin of an AX pair over that of an uncoupled proton, after MEGA-PRESS."""
    frame = Frame(5000.0, 4.65)  # so high that the coupling is weak
    train = events("mega-press", Timing(TE1, TE2), IdealKit(), half)
    pair = SpinGroup(np.array([3.0, 1.9]), np.array([[0.0, coupling], [coupling, 0.0]]))
    lines = group_lines(pair, train, frame)
    near = np.abs(lines.frequencies - (3.0 - 4.65) * 5000.0) < 20
    return complex(lines.amplitudes[near].sum() / singlet_response(train, frame, 3.0))


@pytest.mark.parametrize("coupling", [4.0, 7.35, 11.0])
def test_editing_refocuses_the_coupling_and_leaves_it_otherwise(coupling):
    """The coupling turns for TE - 2 (time between the editing pulses), which is 0 when they are TE / 2 apart.

    In-phase magnetisation is then 1 with and cos(pi J TE) without editing (Mescher 1998; weak coupling).
    """
    te = TE1 + TE2
    assert in_phase("on", coupling) == pytest.approx(1.0, abs=3e-3)
    assert in_phase("off", coupling) == pytest.approx(np.cos(np.pi * coupling * te), abs=3e-3)


@pytest.mark.parametrize(("ppm", "left"), [(1.9, -1.0), (2 * 4.65 - 1.9, 1.0)])
def test_a_shaped_editing_pulse_is_played_where_its_ppm_is(ppm, left):
    """Not at the mirror place about the carrier."""
    spins = system([(ppm - 4.65) * 123.2])
    free = diagonalise(spins.offsets, spins.couplings)
    pulse = default_kit().at(123.2, 4.65, 3.0).edit("on")
    after = propagate(np.diag(spins.total_m).astype(complex), (pulse,), spins, free, FRAME)
    assert z_of(after) == pytest.approx(left, abs=0.02)


def test_slices_are_on_resonance_at_the_place_asked_for():
    """At position 0 the 90 turns what resonates at -1 ppm into the plane, and what lies 30 ppm above it not at all."""
    kit = default_kit().at(123.2, 4.65, -1.0)
    for ppm, left in ((-1.0, 0.0), (29.0, 1.0)):
        pulse = kit.excite("x")
        u = shaped_propagator(pulse, system([(ppm - 4.65) * 123.2]), np.zeros(1))[0]
        assert z_of(u @ np.diag([0.5, -0.5]) @ u.conj().T) == pytest.approx(left, abs=0.02)
