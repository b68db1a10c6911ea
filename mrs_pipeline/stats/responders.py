"""Responders per arm: risk difference, risk ratio and number needed to treat."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mrs_pipeline.config.models import AnalysisOutcome
from mrs_pipeline.stats.outcomes import improvements

RESPONDERS: dict[str, tuple[str, str | None]] = {
    "outcome": ("Clinical outcome", None),
    "session": ("Visit compared with baseline", None),
    "threshold": ("Relative improvement that makes a responder", "1"),
    "missing_rule": ("non-responder: a missing follow-up counts as no response; complete-case: left out", None),
    "responders_a": ("Responders in arm a (reference)", "participants"),
    "n_a": ("Participants of arm a counted", "participants"),
    "responders_b": ("Responders in arm b", "participants"),
    "n_b": ("Participants of arm b counted", "participants"),
    "risk_difference": ("Share of responders in arm b minus arm a", "1"),
    "rd_low": ("Lower limit of the risk difference, Newcombe's hybrid score interval", "1"),
    "rd_high": ("Upper limit of the risk difference", "1"),
    "risk_ratio": ("Share in arm b over share in arm a", "1"),
    "rr_low": ("Lower limit of the risk ratio, logarithmic interval", "1"),
    "rr_high": ("Upper limit of the risk ratio", "1"),
    "nnt": ("Number needed to treat with its interval, in Altman's words (NNTB benefit, NNTH harm)", None),
    "p_fisher": ("Two-sided p value of Fisher's exact test", "1"),
    "alpha": ("One minus the coverage of the intervals", "1"),
}


@dataclass(frozen=True)
class Proportions:
    """Responders and participants of the two arms."""

    x_a: int
    n_a: int
    x_b: int
    n_b: int

    @property
    def difference(self) -> float:
        """Share in arm b minus share in arm a."""
        return self.x_b / self.n_b - self.x_a / self.n_a


def wilson(x: int, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    Examples
    --------
    >>> [round(limit, 4) for limit in wilson(81, 263)]
    [0.2553, 0.3662]
    """
    from scipy import stats

    z = float(stats.norm.ppf(1 - alpha / 2))
    share = x / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)


def newcombe(counts: Proportions, alpha: float = 0.05) -> tuple[float, float]:
    """Interval of the difference of two proportions by Newcombe's hybrid score method.

    Parameters
    ----------
    counts
        Responders and participants per arm.
    alpha
        One minus the coverage.

    Returns
    -------
    tuple[float, float]
        Limits of share b - share a.

    Notes
    -----
    With Wilson limits (l, u) of each arm: d - sqrt((p_b - l_b)^2 + (u_a - p_a)^2) and d + sqrt((u_b - p_b)^2 + (p_a -
    l_a)^2).

    References
    ----------
    Newcombe RG. Stat Med 1998;17:873-890, method 10.
    doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I

    Examples
    --------
    >>> [round(limit, 4) for limit in newcombe(Proportions(48, 80, 56, 70))]
    [0.0524, 0.3339]
    """
    p_a, p_b = counts.x_a / counts.n_a, counts.x_b / counts.n_b
    low_a, high_a = wilson(counts.x_a, counts.n_a, alpha)
    low_b, high_b = wilson(counts.x_b, counts.n_b, alpha)
    down = math.hypot(p_b - low_b, high_a - p_a)
    up = math.hypot(high_b - p_b, p_a - low_a)
    return counts.difference - down, counts.difference + up


def risk_ratio(counts: Proportions, alpha: float = 0.05) -> tuple[float, float, float]:
    """Risk ratio b over a, logarithmic interval (Katz et al. 1978, doi:10.2307/2530610); NaN where a count is 0."""
    from scipy import stats

    if counts.x_a == 0 or counts.x_b == 0:
        return (math.nan if counts.x_a == 0 else 0.0), math.nan, math.nan
    ratio = (counts.x_b / counts.n_b) / (counts.x_a / counts.n_a)
    se = math.sqrt(1 / counts.x_b - 1 / counts.n_b + 1 / counts.x_a - 1 / counts.n_a)
    step = math.exp(float(stats.norm.ppf(1 - alpha / 2)) * se)
    return ratio, ratio / step, ratio * step


def number_needed(difference: float, low: float, high: float) -> str:
    """Say the number needed to treat in words, its interval in two parts when the difference may be zero.

    References
    ----------
    Altman DG. BMJ 1998;317:1309-1312. doi:10.1136/bmj.317.7168.1309

    Examples
    --------
    >>> number_needed(0.2, 0.0524, 0.3339)
    'NNTB 5.0 (NNTB 3.0 to NNTB 19.1)'
    >>> number_needed(0.1, -0.05, 0.25)
    'NNTB 10.0 (NNTB 4.0 to infinity to NNTH 20.0)'
    """
    if difference == 0:
        return f"none (NNTH {_inverse(low)} to infinity to NNTB {_inverse(high)})"
    point = f"{_side(difference)} {_inverse(difference)}"
    if low > 0:
        return f"{point} (NNTB {_inverse(high)} to NNTB {_inverse(low)})"
    if high < 0:
        return f"{point} (NNTH {_inverse(low)} to NNTH {_inverse(high)})"
    return f"{point} (NNTB {_inverse(high)} to infinity to NNTH {_inverse(low)})"


def _side(difference: float) -> str:
    return "NNTB" if difference > 0 else "NNTH"


def _inverse(difference: float) -> str:
    return "infinity" if difference == 0 else f"{1 / abs(difference):.1f}"


def responder_table(
    outcomes: dict[str, tuple[AnalysisOutcome, pd.DataFrame]],
    people: pd.DataFrame,
    visits: tuple[str, ...],
    alpha: float,
) -> pd.DataFrame:
    """Compare responders for every outcome, threshold and follow-up visit.

    Parameters
    ----------
    outcomes
        Outcome settings and values (participants by visits) by name.
    people
        participant_id and arm (0 reference, 1 other).
    visits
        Sessions in order.
    alpha
        One minus the coverage of the intervals.

    Returns
    -------
    pandas.DataFrame
        Columns `RESPONDERS`; two rows each, one per rule for missing follow-ups. Everyone allocated with a baseline
        value counts.
    """
    arm = people.set_index("participant_id")["arm"]
    rows = []
    for name, (outcome, scores) in outcomes.items():
        wide = scores[scores[visits[0]].notna() & scores.index.isin(arm.index)]
        for visit in visits[1:]:
            gain = improvements(wide, visits[0], visit, outcome.direction)
            for threshold in outcome.responder_thresholds:
                for rule in ("non-responder", "complete-case"):
                    counted = gain.fillna(-math.inf) if rule == "non-responder" else gain.dropna()
                    counts = _counts(counted >= threshold - 1e-12, arm)
                    head = {"outcome": name, "session": visit, "threshold": threshold, "missing_rule": rule}
                    rows.append(head | _responder_row(counts, alpha))
    return pd.DataFrame(rows, columns=list(RESPONDERS))


def _counts(responded: pd.Series, arm: pd.Series) -> Proportions:
    side = arm.reindex(responded.index)
    hits = [int(responded[side == code].sum()) for code in (0, 1)]
    totals = [int((side == code).sum()) for code in (0, 1)]
    return Proportions(hits[0], totals[0], hits[1], totals[1])


def _responder_row(counts: Proportions, alpha: float) -> dict[str, Any]:
    from scipy import stats

    head = {
        "responders_a": counts.x_a,
        "n_a": counts.n_a,
        "responders_b": counts.x_b,
        "n_b": counts.n_b,
        "alpha": alpha,
    }
    if min(counts.n_a, counts.n_b) == 0:
        return head
    low, high = newcombe(counts, alpha)
    ratio, ratio_low, ratio_high = risk_ratio(counts, alpha)
    table = [[counts.x_a, counts.n_a - counts.x_a], [counts.x_b, counts.n_b - counts.x_b]]
    return head | {
        "risk_difference": counts.difference,
        "rd_low": low,
        "rd_high": high,
        "risk_ratio": ratio,
        "rr_low": ratio_low,
        "rr_high": ratio_high,
        "nnt": number_needed(counts.difference, low, high),
        "p_fisher": float(stats.fisher_exact(np.array(table))[1]),
    }
