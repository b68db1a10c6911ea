"""Sampled uncertainty as numbers: quantiles and SD per metabolite, sum and ratio."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from mrs_pipeline.basis import COMBINED, parts_of
from mrs_pipeline.spectrum import FloatArray

LIMITS = (0.025, 0.5, 0.975)


@dataclass(frozen=True)
class Spread:
    """Mean, standard deviation and median of the draws of one quantity, and its 95 % interval."""

    mean: float
    sd: float
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Posterior:
    """What the draws say.

    Parameters
    ----------
    method
        ``emcee`` (posterior under the fit's priors, at its baseline stiffness and noise) or ``bootstrap`` (sampling
        distribution of the whole estimator for the noise of the data).
    draws
        Draws that count.
    seed
        Seed they were made from.
    amplitudes, ratios
        By component and sum: amplitude per molecule, and ratio to total creatine. Their intervals are quantiles of the
        posterior; with ``bootstrap`` they are the basic ones, twice the estimate minus the quantiles of the refits,
        which allow for the bias that the refits show (Davison & Hinkley 1997, section 5.2).
    diagnostics
        How the sampling went, by name.
    """

    method: str
    draws: int
    seed: int
    amplitudes: dict[str, Spread]
    ratios: dict[str, Spread]
    diagnostics: dict[str, float] = field(default_factory=dict)

    def as_table(self) -> dict[str, Any]:
        """Return the content as it is written to JSON."""
        return asdict(self)

    @classmethod
    def from_table(cls, table: dict[str, Any] | None) -> Posterior | None:
        """Return what :meth:`as_table` gave; nothing for nothing."""
        if table is None:
            return None
        spreads = {
            key: {name: Spread(**_numbers(item)) for name, item in table[key].items()}
            for key in ("amplitudes", "ratios")
        }
        return cls(
            table["method"], table["draws"], table["seed"], **spreads, diagnostics=_numbers(table["diagnostics"])
        )


def _numbers(table: dict[str, Any]) -> dict[str, float]:
    """Return a table of numbers as JSON has them: ``null`` is no number."""
    return {key: float("nan") if value is None else float(value) for key, value in table.items()}


def summarise_draws(
    method: str,
    names: tuple[str, ...],
    draws: FloatArray,
    seed: int,
    diagnostics: dict[str, float],
    estimate: FloatArray | None = None,
) -> Posterior:
    """Turn draws into quantiles.

    Parameters
    ----------
    method, seed, diagnostics
        As in :class:`Posterior`.
    names
        Components, length K.
    draws
        Amplitudes, shape ``(n, K)``.
    estimate
        Amplitudes that the refits of a bootstrap were made from, shape ``(K,)``.
    """
    values = with_sums(names, draws)
    centre = {} if estimate is None else {key: float(v[0]) for key, v in with_sums(names, estimate[None]).items()}
    amplitudes = {name: spread(value, centre.get(name)) for name, value in values.items()}
    creatine = values.get("tCr", np.zeros(draws.shape[0]))
    seen, own = creatine > 0, centre.get("tCr", 0.0)
    ratios = {
        name: spread(value[seen] / creatine[seen], centre[name] / own if own > 0 else None)
        for name, value in values.items()
        if seen.any()
    }
    return Posterior(method, int(draws.shape[0]), seed, amplitudes, ratios, diagnostics)


def with_sums(names: tuple[str, ...], draws: FloatArray) -> dict[str, FloatArray]:
    """Return the draws by component, shape ``(n,)`` each, and those of the sums whose parts are there."""
    values = {name: draws[:, index] for index, name in enumerate(names)}
    for label in COMBINED:
        present = parts_of(label, names)
        if present and label not in names:
            values[label] = np.sum([values[part] for part in present], axis=0)
    return values


def spread(values: FloatArray, estimate: float | None = None) -> Spread:
    """Summarise draws of one quantity, shape ``(n,)``; with an estimate the interval is the basic bootstrap one.

    Notes
    -----
    An estimate of zero stands at its bound, where the refits say nothing below it: their own quantiles are kept.
    """
    low, median, high = (float(value) for value in np.quantile(values, LIMITS))
    if estimate is not None and estimate > 0:
        low, high = max(0.0, 2.0 * estimate - high), max(0.0, 2.0 * estimate - low)
    sd = float(np.std(values, ddof=1)) if values.size > 1 else float("nan")
    return Spread(float(np.mean(values)), sd, median, low, high)
