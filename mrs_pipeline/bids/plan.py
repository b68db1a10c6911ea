"""From scanner file names to BIDS names: the rules of ``[[convert.scans]]``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from mrs_pipeline.bids.names import Entities, build_name, clean_label
from mrs_pipeline.errors import StudyError

GROUPS = ("participant", "visit", "region", "acq", "run", "task")
"""Named groups a pattern may hold."""


@dataclass(frozen=True)
class Rule:
    """What a conversion rule (``[[convert.scans]]`` of study.toml) says about names.

    ``participant``, ``visit`` and ``region`` stand in where the pattern gives none; ``reference`` is what a water scan
    is for: ``"conc"``, ``"ecc"`` or ``"both"``; a ``nucleus`` other than 1H becomes the ``nuc`` label.
    """

    pattern: str
    role: str
    participant: str | None = None
    visit: str | None = None
    region: str | None = None
    reference: str = "both"
    acq: str | None = None
    nucleus: str = "1H"


@dataclass(frozen=True)
class Labels:
    """Labels a study allows; empty sequences allow any. ``visit_names`` maps names in file names to session labels."""

    regions: Sequence[str] = ()
    visits: Sequence[str] = ()
    visit_names: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Target:
    """What one scanner file becomes: the number of its rule (from 0), role, BIDS entities, and who it said it was."""

    source: PurePosixPath
    rule: int
    role: str
    entities: Entities
    participant: str = ""


@dataclass(frozen=True)
class Unplaced:
    """A scanner file that becomes nothing: ``failed`` where a rule meant it and could not place it."""

    source: PurePosixPath
    failed: bool
    reason: str
    remedy: str = ""


def place(source: PurePosixPath, rules: Sequence[Rule], labels: Labels) -> Target | Unplaced:
    """Return what a scanner file becomes by the first rule that matches it.

    Parameters
    ----------
    source
        Path relative to the folder of scanner files.
    rules
        In order.
    labels
        Regions and visits of the study.
    """
    for number, rule in enumerate(rules):
        match = pattern_of(rule.pattern).search(str(source))
        if match is not None:
            return _target(source, number, rule, match.groupdict(), labels)
    return Unplaced(source, False, "no rule of [[convert.scans]] matches it")


def pattern_of(text: str) -> re.Pattern[str]:
    """Compile a pattern: a regular expression where it holds a named group ``(?P<``, else a glob.

    Letter case is ignored. A glob without ``/`` is held against the file name, with ``/`` against the whole path below
    the scanner folder; ``**`` crosses folders; ``{participant}`` and the other group names stand for a label.

    Raises
    ------
    StudyError
        The pattern is no valid expression or names an unknown group.
    """
    try:
        compiled = re.compile(text if "(?P<" in text else _glob(text), re.IGNORECASE)
    except re.error as error:
        raise StudyError(
            f"the pattern '{text}' is not valid ({error})",
            remedy="correct it: with (?P<...>) it is a regular expression; a glob takes {participant} instead",
        ) from error
    unknown = sorted(set(compiled.groupindex) - set(GROUPS))
    if unknown:
        raise StudyError(
            f"the pattern '{text}' names the unknown group {', '.join(unknown)}", remedy=f"use only {', '.join(GROUPS)}"
        )
    return compiled


def _glob(text: str) -> str:
    """Translate a glob to a regular expression."""
    tokens = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\]|\{[a-z]+\})", text)
    special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    out = ""
    for token in tokens:
        if token.startswith("{"):
            out += f"(?P<{token[1:-1]}>[A-Za-z0-9]+)"
        elif token.startswith("["):
            out += token.replace("[!", "[^")
        else:
            out += special.get(token, re.escape(token))
    return f"(?:^|/){out}$" if "/" not in text else f"^{out}$"


def _target(
    source: PurePosixPath, number: int, rule: Rule, groups: Mapping[str, str | None], labels: Labels
) -> Target | Unplaced:
    """Put the entities together and check them against the study."""
    values = {
        "participant": groups.get("participant") or rule.participant,
        "visit": groups.get("visit") or rule.visit,
        "region": groups.get("region") or rule.region,
    }
    participant = clean_label(re.sub(r"^sub-", "", values["participant"] or ""))
    if not participant:
        return _failed(
            source,
            number,
            "the rule gives no participant",
            "add (?P<participant>...) to the pattern, or participant = ",
        )
    visit, problem = _visit(values["visit"], labels)
    if problem:
        return _failed(source, number, problem, "add the visit to [study] visits, or map its name in [convert.visits]")
    region, problem = (None, None) if rule.role == "T1w" else _region(values["region"], labels)
    if problem:
        return _failed(source, number, problem, "add the region to [study] regions, or correct the rule")
    acq = clean_label(groups.get("acq") or rule.acq or "")
    if rule.role == "mrsref" and rule.reference != "both":
        acq += rule.reference
    run = groups.get("run")
    entities = Entities(
        sub=participant,
        ses=visit,
        task=clean_label(groups.get("task") or "") or None,
        acq=acq or None,
        nuc=None if rule.nucleus == "1H" or rule.role == "T1w" else rule.nucleus,
        voi=region,
        run=run if run and run.isdecimal() else None,
        suffix=rule.role,
        extension=".nii.gz",
    )
    return Target(source, number, rule.role, entities, values["participant"] or "")


def _visit(name: str | None, labels: Labels) -> tuple[str | None, str | None]:
    """Return the session label of a visit, or the problem with it."""
    if not name:
        return None, None
    plain = (labels.visit_names or {}).get(name, name.removeprefix("ses-"))
    label = _spelled(plain, labels.visits)
    if label is None and labels.visits:
        return None, f"the visit '{name}' is not one of [study] visits ({', '.join(labels.visits)})"
    return clean_label(label or plain) or None, None


def _region(name: str | None, labels: Labels) -> tuple[str | None, str | None]:
    """Return the voi label of a region, or the problem with it."""
    if not name:
        return None, None
    label = _spelled(name, labels.regions)
    if label is None and labels.regions:
        return None, f"the region '{name}' is not one of [study] regions ({', '.join(labels.regions)})"
    return clean_label(label or name), None


def _spelled(name: str, allowed: Sequence[str]) -> str | None:
    """Return the allowed label that a name means, letter case and punctuation aside."""
    plain = clean_label(name).lower()
    return next((label for label in allowed if clean_label(label).lower() == plain), None)


def _failed(source: PurePosixPath, number: int, problem: str, remedy: str) -> Unplaced:
    return Unplaced(source, True, f"rule {number + 1}: {problem}", remedy)


def clashes(targets: Sequence[Target]) -> dict[str, list[Target]]:
    """Return the BIDS names that more than one scanner file would become."""
    by_name: dict[str, list[Target]] = {}
    for target in targets:
        by_name.setdefault(build_name(target.entities), []).append(target)
    return {name: same for name, same in by_name.items() if len(same) > 1}


def merged_participants(targets: Sequence[Target]) -> dict[str, list[str]]:
    """Return the BIDS labels that different participants would share, with their names in the files.

    BIDS labels hold letters and digits only, so that ``A-1`` and ``A1`` would become one.
    """
    names: dict[str, set[str]] = {}
    for target in targets:
        names.setdefault(target.entities.sub or "", set()).add(target.participant.removeprefix("sub-"))
    return {label: sorted(found) for label, found in names.items() if len(found) > 1}
