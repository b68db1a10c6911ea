"""Which water reference and which T1w image belong to a spectrum."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mrs_pipeline.bids.names import Entities, parse_name
from mrs_pipeline.errors import InputError

ROLES = ("conc", "ecc")
"""What a water reference is for: concentration, eddy currents. An ``acq`` label ending in one restricts it to that."""


@dataclass(frozen=True)
class Candidate:
    """One image of the same participant and session that may be linked to."""

    path: Path
    entities: Entities


@dataclass(frozen=True)
class Link:
    """References found, with what had to be said about how."""

    conc: Path | None = None
    ecc: Path | None = None
    warnings: tuple[str, ...] = ()
    noise: Path | None = None


def bids_uri(path: Path, root: Path) -> str:
    """Return the BIDS URI of a file of the dataset."""
    return f"bids::{path.relative_to(root).as_posix()}"


def resolve_uri(uri: str, root: Path, subject_dir: Path) -> Path | None:
    """Return the file that a BIDS URI, or a path relative to dataset or participant, means; ``None`` if not there."""
    if uri.startswith("bids:"):
        dataset, _, relative = uri.removeprefix("bids:").partition(":")
        options = [root / relative] if not dataset else []
    else:
        options = [root / uri, subject_dir / uri]
    return next((path for path in options if path.is_file()), None)


def role_of(entities: Entities) -> str | None:
    """Return ``"conc"`` or ``"ecc"`` when the ``acq`` label says so, else ``None`` (it serves both)."""
    acq = (entities.acq or "").lower()
    return next((role for role in ROLES if acq.endswith(role)), None)


def is_noise(entities: Entities) -> bool:
    """Return whether a reference is a scan without excitation: its ``acq`` label contains ``noise``."""
    return entities.suffix == "mrsref" and "noise" in (entities.acq or "").lower()


def link_reference(
    scan: Entities, sidecar: Mapping[str, Any], candidates: Sequence[Candidate], root: Path, subject_dir: Path
) -> Link:
    """Find the water references of a spectrum.

    Parameters
    ----------
    scan
        Entities of the spectrum.
    sidecar
        Its metadata.
    candidates
        The ``mrsref`` files of the same participant and session.
    root, subject_dir
        Dataset and participant folder, for resolving ``ReferenceSignal``.

    Notes
    -----
    The rules, first that gives something: (1) ``ReferenceSignal``; (2) identical entities, a trailing ``conc`` or
    ``ecc`` of the ``acq`` label aside; (3) identical but for ``acq`` and ``run``, with a warning; (4) none. A noise
    scan (``acq`` label with ``noise``) is never taken for water: it serves the coil combination of every spectrum of
    the visit, the one whose entities agree most first.
    """
    named, warnings = _from_sidecar(sidecar.get("ReferenceSignal"), root, subject_dir)
    noises = [item for item in (*named, *candidates) if is_noise(item.entities)]
    named = [item for item in named if not is_noise(item.entities)]
    candidates = [item for item in candidates if not is_noise(item.entities)]
    return replace(_water_link(scan, named, candidates, warnings), noise=_best_noise(scan, noises))


def _best_noise(scan: Entities, noises: Sequence[Candidate]) -> Path | None:
    """Of the noise scans of a visit, the one that shares most labels with the spectrum; by name among equals."""
    mine = scan.labels().items()
    ranked = sorted(noises, key=lambda item: (-len(mine & item.entities.labels().items()), item.path.name))
    return ranked[0].path if ranked else None


def _water_link(scan: Entities, named: list[Candidate], candidates: Sequence[Candidate], warnings: list[str]) -> Link:
    """Find the water references, noise scans put aside."""
    if named:
        return _by_role(named, warnings)
    identical = [item for item in candidates if _same(scan, item.entities, "acq") and _same_acq(scan, item.entities)]
    if identical:
        return _by_role(identical, warnings)
    near = [item for item in candidates if _same(scan, item.entities, "acq", "run")]
    if near:
        return _by_role(_nearest(scan, near), [*warnings, "water reference matched without acq and run"])
    return Link(warnings=(*warnings, "no water reference: only ratios can be computed"))


def link_anatomical(
    scan: Entities, sidecar: Mapping[str, Any], candidates: Sequence[Candidate], root: Path, subject_dir: Path
) -> tuple[Path | None, tuple[str, ...]]:
    """Find the T1w image of the same visit: ``AnatomicalImage``, else the one beside the spectrum.

    Another visit's image is taken only where ``AnatomicalImage`` names it, with a warning: the voxel's coordinates do
    not hold there. That there is none is no warning here: whether it is missed depends on the source of the tissue
    fractions (``TissueSection.needs_t1w``).
    """
    warnings: list[str] = []
    for uri in _as_list(sidecar.get("AnatomicalImage")):
        found = resolve_uri(uri, root, subject_dir)
        if found is not None:
            stated = dict(re.findall("(sub|ses)-([0-9A-Za-z]+)_", found.name))
            if any(label != getattr(scan, key) for key, label in stated.items()):
                warnings.append(
                    f"AnatomicalImage names {found.name}, of another participant or visit: the voxel lies where its "
                    "coordinates say only if both scans share them"
                )
            return found, tuple(warnings)
        warnings.append(f"AnatomicalImage names a file that is not there: {uri}")
    if not candidates:
        return None, tuple(warnings)
    ranked = sorted(
        candidates, key=lambda item: (item.entities.ce is not None, len(item.entities.labels()), item.path.name)
    )
    if len(ranked) > 1:
        warnings.append(f"{len(ranked)} T1w images in this visit; {ranked[0].path.name} is used")
    return ranked[0].path, tuple(warnings)


def _from_sidecar(
    value: Any,  # noqa: ANN401  any JSON
    root: Path,
    subject_dir: Path,
) -> tuple[list[Candidate], list[str]]:
    """Files named by ``ReferenceSignal`` that exist, and warnings about those that do not."""
    found: list[Candidate] = []
    warnings: list[str] = []
    for uri in _as_list(value):
        path = resolve_uri(uri, root, subject_dir)
        if path is None:
            warnings.append(f"ReferenceSignal names a file that is not there: {uri}")
            continue
        try:
            found.append(Candidate(path, parse_name(path.name)))
        except InputError as error:
            warnings.append(f"ReferenceSignal: {error.problem}: {uri}")
    return found, warnings


def _by_role(found: Iterable[Candidate], warnings: Iterable[str]) -> Link:
    """Give each role its file: the one labelled for it, else the one that serves both."""
    ordered = sorted(found, key=lambda item: item.path.name)
    said = list(warnings)
    chosen: dict[str, Path | None] = {}
    for role in ROLES:
        own = [item.path for item in ordered if role_of(item.entities) == role]
        both = [item.path for item in ordered if role_of(item.entities) is None]
        options = own or both
        chosen[role] = options[0] if options else None
        if len(options) > 1:
            said.append(f"{len(options)} water references for {role}; {options[0].name} is used")
    if chosen["conc"] is None:
        said.append("the water reference is for eddy currents only: only ratios can be computed")
    return Link(chosen["conc"], chosen["ecc"], tuple(said))


def _nearest(scan: Entities, near: Sequence[Candidate]) -> list[Candidate]:
    """Of references that match but for ``acq`` and ``run``, those that share most with the scan."""

    def score(item: Candidate) -> int:
        return 2 * (item.entities.run == scan.run) + _same_acq(scan, item.entities)

    best = max(score(item) for item in near)
    return [item for item in near if score(item) == best]


def _same(scan: Entities, other: Entities, *but: str) -> bool:
    mine, theirs = scan.labels(), other.labels()
    return {k: v for k, v in mine.items() if k not in but} == {k: v for k, v in theirs.items() if k not in but}


def _same_acq(scan: Entities, other: Entities) -> bool:
    """Whether the ``acq`` labels agree, a trailing role aside."""
    acq, role = other.acq or "", role_of(other)
    bare = acq[: -len(role)] if role else acq
    return (scan.acq or "") in {acq, bare}


def _as_list(value: Any) -> list[str]:  # noqa: ANN401  any JSON
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
