"""Clinical tables: daily pain ratings, a FIQR-like score, cytokines with a lower limit of quantification."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrs_pipeline.spectrum import FloatArray
from mrs_pipeline.synthetic.settings import TrialSettings
from mrs_pipeline.synthetic.trial import Participant, stream

Row = dict[str, str]

CYTOKINES: tuple[tuple[str, float, float, float], ...] = (
    ("il6", 1.8, 0.7, 0.7),
    ("tnfa", 2.4, 0.5, 0.5),
    ("il8", 6.0, 0.6, 0.4),
    ("il10", 0.8, 0.8, 0.4),
    ("hscrp", 2.0, 1.0, 0.2),
)
"""Name, median (pg/mL; hs-CRP mg/L), SD of the natural logarithm, lower limit of quantification."""


@dataclass(frozen=True)
class Clinical:
    """A participant's true course: mean pain at each visit (0-10)."""

    participant: Participant
    pain: FloatArray


def clinical_course(settings: TrialSettings, index: int, person: Participant) -> Clinical:
    """Draw a participant's true mean pain at each visit."""
    rng = stream(settings.seed, 3, index)
    share = np.linspace(0, 1, len(settings.visits)) if len(settings.visits) > 1 else np.zeros(1)
    change = settings.placebo_pain_change + (settings.arm_pain_change if person.arm != settings.arms[0] else 0.0)
    pain = rng.normal(6.5, 1.2) + share * rng.normal(change, 1.6)
    return Clinical(person, np.clip(pain, 0, 10))


def ema_rows(settings: TrialSettings, index: int, course: Clinical) -> list[Row]:
    """Return daily ratings: a week before day 0, then ``ema_days`` days; one in eight is missing and not listed."""
    rng = stream(settings.seed, 4, index)
    last = 0 if course.participant.drops_out else settings.ema_days
    days = np.arange(-7, last + 1)
    if course.participant.drops_out:
        days = np.arange(-7, int(rng.integers(1, max(2, settings.ema_days))))
    anchors = np.linspace(0, max(1, settings.ema_days), course.pain.size)
    mean = np.interp(days, anchors, course.pain)
    drift = _autoregressive(days.size, 0.5, 0.9, rng)
    rating = np.clip(np.rint(mean + drift + rng.normal(0, 0.6, days.size)), 0, 10).astype(int)
    answered = rng.random(days.size) > 0.125
    return [
        {"participant_id": course.participant.bids_id, "day": str(d), "pain_nrs": str(p)}
        for d, p, there in zip(days, rating, answered, strict=True)
        if there
    ]


def _autoregressive(n: int, memory: float, sd: float, rng: np.random.Generator) -> FloatArray:
    out = np.zeros(n)
    noise = rng.normal(0, sd * np.sqrt(1 - memory**2), n)
    for i in range(1, n):
        out[i] = memory * out[i - 1] + noise[i]
    return out


def visit_rows(settings: TrialSettings, index: int, course: Clinical) -> tuple[list[Row], list[Row]]:
    """Return the FIQR-like and the cytokine rows of a participant, one per attended visit."""
    rng = stream(settings.seed, 5, index)
    own = rng.standard_normal(len(CYTOKINES))
    fiqr: list[Row] = []
    cytokines: list[Row] = []
    for v, visit in enumerate(settings.visits):
        score = float(np.clip(8.5 * course.pain[v] + rng.normal(0, 8), 0, 100))
        values = _cytokines(own, rng)
        if course.participant.drops_out and v > 0:
            continue
        key = {"participant_id": course.participant.bids_id, "session": f"ses-{visit}"}
        fiqr.append({**key, "fiqr_total": f"{score:.1f}"})
        cytokines.append({**key, **values})
    return fiqr, cytokines


def _cytokines(own: FloatArray, rng: np.random.Generator) -> Row:
    out: Row = {}
    for i, (name, median, sd, limit) in enumerate(CYTOKINES):
        value = median * float(np.exp(sd * (0.8 * own[i] + 0.6 * rng.standard_normal())))
        out[name] = f"{value:.3f}" if value >= limit else f"<{limit:g}"
    return out
