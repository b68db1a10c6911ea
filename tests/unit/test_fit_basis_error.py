"""What errors of the basis do to the amplitudes."""

import numpy as np
import pytest

from mrs_pipeline.fit.basis_error import basis_spread, windows

OFFSET = np.linspace(-200.0, 150.0, 400)


def test_the_error_of_a_signal_has_the_stated_size_at_every_frequency():
    splines = windows(OFFSET, 32.0)
    np.testing.assert_allclose(np.sum(splines**2, axis=0), 1.0, rtol=1e-12)
    assert np.all(splines >= 0)
    assert splines.shape == (11 + 3, OFFSET.size)  # 350 Hz in steps of 32 Hz, cubic


def test_errors_are_alike_within_a_window_and_independent_beyond_four():
    alike = windows(OFFSET, 32.0).T @ windows(OFFSET, 32.0)
    step = OFFSET[1] - OFFSET[0]
    assert alike[200, 200 + round(8.0 / step)] > 0.95
    assert alike[200, 200 + round(130.0 / step)] == pytest.approx(0.0, abs=1e-12)


def test_one_signal_fitted_alone_errs_as_draws_of_its_error_say():
    """Least squares of one signal: the amplitude reacts with s/|s|^2 to the data."""
    signal = np.exp(-0.5 * ((OFFSET - 20.0) / 15.0) ** 2) + 0.5 * np.exp(-0.5 * ((OFFSET + 80.0) / 15.0) ** 2)
    splines, amplitude, sd = windows(OFFSET, 32.0), 3.0, 0.05
    found = basis_spread((signal / (signal @ signal))[None], amplitude * signal[None], splines, np.array([sd]))
    rng = np.random.default_rng(1)
    draws = [
        (amplitude * signal * (1 + sd * rng.standard_normal(len(splines)) @ splines)) @ signal / (signal @ signal)
        for _ in range(4000)
    ]
    assert np.sqrt(found[0, 0]) == pytest.approx(np.std(draws), rel=0.03)


def test_exact_signals_add_nothing_and_errors_of_two_add_up():
    rng = np.random.default_rng(2)
    reaction, signals, splines = rng.standard_normal((2, 400)), rng.standard_normal((2, 400)), windows(OFFSET, 32.0)

    def spread(*sd):
        return basis_spread(reaction, signals, splines, np.array(sd))

    assert not spread(0.0, 0.0).any()
    np.testing.assert_allclose(spread(0.1, 0.2), spread(0.1, 0.0) + spread(0.0, 0.2))
