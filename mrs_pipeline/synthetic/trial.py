"""The plan of a synthetic trial: who is enrolled, scanned and treated, and what is true of each scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mrs_pipeline.basis import COMBINED
from mrs_pipeline.spectrum import FloatArray
from mrs_pipeline.synthetic.settings import TrialSettings


@dataclass(frozen=True)
class Participant:
    """One enrolled participant."""

    label: str
    arm: str
    scanned: bool
    has_t1w: bool
    age: int
    sex: str
    bmi: float
    drops_out: bool

    @property
    def bids_id(self) -> str:
        """Identifier as in participants.tsv."""
        return f"sub-{self.label}"


@dataclass(frozen=True)
class PlannedScan:
    """One scan: whose, when, where, its true concentrations (mmol per kg tissue water), and what is wrong with it.

    ``failure`` is empty for a good scan, else ``"missed"``, ``"truncated"`` or one of
    :attr:`mrs_pipeline.synthetic.TrialSettings.failure_kinds`.
    """

    participant: Participant
    visit: str
    region: str
    molal: Mapping[str, float]
    failure: str = ""

    @property
    def missed(self) -> bool:
        """Whether the scan did not take place."""
        return self.failure == "missed"

    @property
    def unreadable(self) -> bool:
        """Whether the scanner files cannot be converted."""
        return self.failure in ("truncated", "empty")

    @property
    def key(self) -> str:
        """Return the scan's key as the pipeline prints it."""
        return f"{self.participant.bids_id}_ses-{self.visit}_voi-{self.region}"


def stream(seed: int, *path: int) -> np.random.Generator:
    """Return an independent generator for one purpose, so that adding one thing does not change another."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=path))


def enrol(settings: TrialSettings) -> tuple[Participant, ...]:
    """Draw the participants; arms are balanced in the scanned sub-study and in the rest (permuted blocks)."""
    rng = stream(settings.seed, 0)
    n = settings.participants
    scanned = np.zeros(n, dtype=bool)
    scanned[rng.choice(n, settings.scanned, replace=False)] = True
    arm = np.empty(n, dtype=object)
    for group in (scanned, ~scanned):
        arm[group] = permuted_blocks(int(group.sum()), settings.arms, rng)
    order = np.flatnonzero(scanned)
    with_t1w = set(order[: settings.segmented_t1w].tolist())
    age, bmi = np.clip(rng.normal(48, 10, n), 18, 70), np.clip(rng.normal(26, 4, n), 18, 36)
    leaves = rng.random(n) < settings.drop_out
    width = max(3, len(str(n)))
    return tuple(
        Participant(
            f"P{i + 1:0{width}d}", str(arm[i]), bool(scanned[i]), i in with_t1w, round(float(age[i])), "F",
            round(float(bmi[i]), 1), bool(leaves[i]),
        )
        for i in range(n)
    )  # fmt: skip


def permuted_blocks(n: int, arms: tuple[str, ...], rng: np.random.Generator) -> list[str]:
    """Return a balanced random allocation in blocks of twice the number of arms."""
    block = list(arms) * 2
    out: list[str] = []
    while len(out) < n:
        out += [block[i] for i in rng.permutation(len(block))]
    extra = len(out) - n
    last = len(block) - extra
    if 0 < last < len(block):
        out[n - last :] = [arms[i % len(arms)] for i in rng.permutation(last)]
    return out[:n]


def effect_factor(settings: TrialSettings, arm: str, visit: str, region: str, name: str) -> float:
    """Return the factor by which an arm changes a metabolite at a visit; 1 in the reference arm and at baseline."""
    if arm == settings.arms[0] or len(settings.visits) < 2:
        return 1.0
    relative = settings.effects.get(f"{name}@{region}", settings.effects.get(name, 0.0))
    return 1.0 + relative * settings.visits.index(visit) / (len(settings.visits) - 1)


def mean_one_lognormal(cv: float, z: float) -> float:
    """Return a lognormal value of mean 1 and the given coefficient of variation, from a standard normal."""
    s = np.sqrt(np.log1p(cv**2))
    return float(np.exp(s * z - s**2 / 2))


def person_levels(settings: TrialSettings, index: int) -> dict[str, dict[str, float]]:
    """Return a participant's own mean concentration by region and metabolite, before treatment."""
    rng = stream(settings.seed, 1, index)
    names = tuple(settings.spectrum.concentrations)
    shared = dict(zip(names, rng.standard_normal(len(names)), strict=True))
    rho = settings.region_correlation
    levels: dict[str, dict[str, float]] = {}
    for region in settings.regions:
        own = dict(zip(names, rng.standard_normal(len(names)), strict=True))
        levels[region] = {
            name: settings.spectrum.concentrations[name]
            * settings.region_factor.get(f"{name}@{region}", 1.0)
            * mean_one_lognormal(
                settings.between_cv.get(name, 0.25), np.sqrt(rho) * shared[name] + np.sqrt(1 - rho) * own[name]
            )
            for name in names
        }
    return levels


def plan_scans(settings: TrialSettings, people: tuple[Participant, ...]) -> tuple[PlannedScan, ...]:
    """Return every scan of the trial in order, with its true concentrations."""
    scans: list[PlannedScan] = []
    for index, person in enumerate(people):
        if not person.scanned:
            continue
        levels = person_levels(settings, index)
        for v, visit in enumerate(settings.visits):
            for r, region in enumerate(settings.regions):
                rng = stream(settings.seed, 2, index, v, r)
                molal = _at_visit(
                    settings, person, visit, region, levels[region], rng.standard_normal(len(levels[region]))
                )
                failure = draw_failure(settings, rng, left=person.drops_out and v > 0)
                scans.append(PlannedScan(person, visit, region, molal, failure))
    return _break_one(tuple(scans)) if settings.broken_scan else tuple(scans)


def draw_failure(settings: TrialSettings, rng: np.random.Generator, *, left: bool) -> str:
    """Return what is wrong with a scan, empty when nothing is."""
    missed, failed = rng.random(2)
    kind = str(rng.choice(settings.failure_kinds)) if settings.failure_kinds else ""
    if left or missed < settings.missed_scan:
        return "missed"
    return kind if failed < settings.failed_scans else ""


def visit_day(settings: TrialSettings, index: int, visit: int) -> int:
    """Return the day of a participant's visit; the baseline is on its planned day."""
    rng = stream(settings.seed, 10, index, visit)
    jitter = float(rng.normal(0, settings.visit_jitter_days))
    return settings.days[visit] + (round(jitter) if visit > 0 else 0)


def _at_visit(
    settings: TrialSettings, person: Participant, visit: str, region: str, level: Mapping[str, float], z: FloatArray
) -> dict[str, float]:
    return {
        name: value
        * effect_factor(settings, person.arm, visit, region, name)
        * mean_one_lognormal(settings.within_cv, float(z[i]))
        for i, (name, value) in enumerate(level.items())
    }


def _break_one(scans: tuple[PlannedScan, ...]) -> tuple[PlannedScan, ...]:
    """Mark the last good scan, of a participant without T1w where there is one, as truncated."""
    usable = [i for i, scan in enumerate(scans) if not scan.failure]
    without = [i for i in usable if not scans[i].participant.has_t1w] or usable
    if not without:
        return scans
    chosen = without[-1]
    return (*scans[:chosen], replace(scans[chosen], failure="truncated"), *scans[chosen + 1 :])


def with_sums(values: Mapping[str, float]) -> dict[str, float]:
    """Return values with the usual sums added where all their parts are there."""
    sums = {k: sum(values[p] for p in parts) for k, parts in COMBINED.items() if all(p in values for p in parts)}
    return {**values, **sums}
