"""Which conversions a folder of scanner files needs: files, rules, checks before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mrs_pipeline.bids import (
    Labels,
    Rule,
    Target,
    Unplaced,
    build_name,
    clashes,
    merged_participants,
    pattern_of,
    place,
)
from mrs_pipeline.config import ConvertScan, Study
from mrs_pipeline.errors import InputError, MrsError, StudyError
from mrs_pipeline.interfaces.convert_jobs import ConvertJob
from mrs_pipeline.nifti_mrs import SUPPORTED, Format, check_scanner_file, companion_of, format_of, sources_of

ECHO_TIME_LIMITS_S = (0.002, 0.5)
REPETITION_TIME_LIMITS_S = (0.05, 60.0)
OPTIONS = (
    "conjugate", "echo_time", "repetition_time", "reference_ppm", "spectral_width", "carrier_mhz", "body_part",
)  # fmt: skip
"""Fields of a rule that a conversion needs."""

_WHO = r"sub-(?P<participant>[A-Za-z0-9]+)(?:.*?ses-(?P<visit>[A-Za-z0-9]+))?(?:.*?voi-(?P<region>[A-Za-z0-9]+))?"
_RAW = r"\.(?:sdat|rda|dat|7|data|raw|h2o)$"
_NIFTI = r"\.nii(?:\.gz)?$"
_WATER = r".*?(?:[_/-](?:raw-)?(?:mrsref|ref|wref|water|h2o|unsuppressed)(?![A-Za-z0-9])[^/]*|[^/]*(?=\.h2o))"
DEFAULT_RULES = (
    ConvertScan(pattern=rf"{_WHO}.*T1w?[^/]*{_NIFTI}", role="T1w"),
    ConvertScan(pattern=rf"{_WHO}{_WATER}(?:{_RAW}|{_NIFTI})", role="mrsref"),
    ConvertScan(pattern=rf"{_WHO}(?:.*{_RAW}|.*_svs[^/]*{_NIFTI})", role="svs"),
)
"""Used without rules: names with sub-LABEL and perhaps ses-LABEL, voi-LABEL; water scans by _ref, _water, _h2o."""


@dataclass(frozen=True)
class Line:
    """One line of the conversion table."""

    source: str
    status: str
    role: str = ""
    output: str = ""
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Plan:
    """What will be converted, and what is already known not to be."""

    jobs: tuple[ConvertJob, ...]
    lines: tuple[Line, ...]


def make_plan(
    scanner_dir: Path, study: Study, conjugate: Sequence[str] | None = None, bids_dir: Path | None = None
) -> Plan:
    """Return the conversions of a folder of scanner files.

    Parameters
    ----------
    scanner_dir
        Folder of scanner files, searched with all its subfolders.
    study
        Settings; without rules, :data:`DEFAULT_RULES`.
    conjugate
        Globs of files to conjugate besides those whose rule says so; an empty sequence means all.
    bids_dir
        The dataset, left out of the search where it lies inside the folder of scanner files.

    Raises
    ------
    StudyError
        The folder is missing or empty, a rule is wrong, or no file matches any rule.
    """
    files = scanner_files(scanner_dir, bids_dir)
    rules = study.convert.scans or DEFAULT_RULES
    _check_rules(rules)
    placed = [place(source, [_names(rule) for rule in rules], _labels(study)) for source in files]
    targets = [item for item in placed if isinstance(item, Target)]
    unplaced = [item for item in placed if isinstance(item, Unplaced)]
    if not targets and not any(item.failed for item in unplaced):
        raise _nothing_matches(scanner_dir, files, default=not study.convert.scans)
    jobs, lines = _jobs(scanner_dir, _distinct(targets, unplaced), rules, conjugate)
    lines += [_unplaced_line(scanner_dir, item) for item in unplaced]
    return Plan(tuple(jobs), tuple(lines))


def scanner_files(scanner_dir: Path, bids_dir: Path | None = None) -> list[PurePosixPath]:
    """Return every file below a folder, hidden ones and the dataset aside, sorted, relative to it."""
    if not scanner_dir.is_dir():
        raise StudyError(
            "there is no such folder of scanner files", remedy="check the first argument", path=scanner_dir
        )
    if bids_dir is not None and bids_dir.resolve() == scanner_dir.resolve():
        raise StudyError(
            "the dataset would be written into the folder of scanner files",
            remedy="give another folder, for example one beside it",
            path=bids_dir,
        )
    dataset = None if bids_dir is None else bids_dir.resolve()
    found = [path for path in scanner_dir.rglob("*") if path.is_file()]
    if dataset is not None and scanner_dir.resolve() in dataset.parents:
        found = [path for path in found if dataset not in path.resolve().parents]
    relative = [path.relative_to(scanner_dir) for path in found]
    files = sorted(PurePosixPath(path.as_posix()) for path in relative if not any(p[0] == "." for p in path.parts))
    if not files:
        raise StudyError("the folder of scanner files is empty", remedy="check the first argument", path=scanner_dir)
    return files


def _distinct(targets: Sequence[Target], unplaced: list[Unplaced]) -> list[Target]:
    """Return the targets whose participant is one person; the others are added to ``unplaced`` as failures."""
    merged = merged_participants(targets)
    for target in targets:
        names = merged.get(target.entities.sub or "")
        if names:
            reason = f"participants {' and '.join(names)} would both become sub-{target.entities.sub}"
            remedy = "capture labels that differ in letters or digits, or set participant = in separate rules"
            unplaced.append(Unplaced(target.source, True, reason, remedy))
    return [target for target in targets if target.entities.sub not in merged]


def _names(rule: ConvertScan) -> Rule:
    names = ("pattern", "role", "participant", "visit", "region", "reference", "acq", "nucleus")
    return Rule(**{name: getattr(rule, name) for name in names})


def _labels(study: Study) -> Labels:
    """Visits are checked only where the study states them: the default names are examples."""
    visits = study.study.visits if "visits" in study.study.model_fields_set else ()
    return Labels(study.study.regions, visits, study.convert.visits)


def _check_rules(rules: Sequence[ConvertScan]) -> None:
    """Raise where a rule's time cannot be in seconds."""
    for number, rule in enumerate(rules, start=1):
        for key, limits in (("echo_time", ECHO_TIME_LIMITS_S), ("repetition_time", REPETITION_TIME_LIMITS_S)):
            value = getattr(rule, key)
            if value is not None and not limits[0] <= value <= limits[1]:
                raise StudyError(
                    f"[[convert.scans]] rule {number}: {key} = {value:g} s, outside {limits[0]:g} to {limits[1]:g} s",
                    remedy=f"give {key} in seconds, for example {value / 1000:g} if {value:g} ms is meant",
                )


def _jobs(
    scanner_dir: Path, targets: Sequence[Target], rules: Sequence[ConvertScan], conjugate: Sequence[str] | None
) -> tuple[list[ConvertJob], list[Line]]:
    """Turn targets into jobs; what cannot become one is a line."""
    jobs: list[ConvertJob] = []
    lines: list[Line] = []
    kept: list[tuple[Target, Format]] = []
    for target in targets:
        kind = format_of(scanner_dir / target.source)
        companion = companion_of(scanner_dir / target.source)
        if companion is not None:
            lines.append(Line(str(target.source), "companion", reason=f"read together with {companion.name}"))
        elif kind is None or (target.role == "T1w" and kind not in {"nifti", "dicom"}):
            lines.append(_failed(target, "the format is not known", f"supported: {SUPPORTED}"))
        else:
            kept.append((target, kind))
    for group, kind in _grouped(kept, lines):
        try:
            jobs.append(_job(scanner_dir, group, kind, rules[group[0].rule], len(jobs), conjugate))
        except MrsError as error:
            lines += [_failed(target, error.problem, error.remedy) for target in group]
    return jobs, lines


def _grouped(kept: Sequence[tuple[Target, Format]], lines: list[Line]) -> list[tuple[list[Target], Format]]:
    """Group the files that become one BIDS file: one file each, or the DICOM files of one series."""
    twice = clashes([target for target, _ in kept])
    kinds = {target.source: kind for target, kind in kept}
    groups: list[tuple[list[Target], Format]] = []
    seen: set[str] = set()
    for target, kind in kept:
        name = build_name(target.entities)
        if name in seen:
            continue
        seen.add(name)
        same = twice.get(name, [target])
        if len(same) > 1 and any(kinds[item.source] != "dicom" for item in same):
            sources = ", ".join(str(item.source) for item in same)
            lines += [
                _failed(item, f"{len(same)} files would become {name}: {sources}",
                        "narrow the pattern, or let it capture (?P<run>...) or (?P<acq>...)") for item in same
            ]  # fmt: skip
        else:
            groups.append((same, kind))
    return groups


def _job(
    scanner_dir: Path,
    group: Sequence[Target],
    kind: Format,
    rule: ConvertScan,
    number: int,
    conjugate: Sequence[str] | None,
) -> ConvertJob:
    """Check the files of one conversion and describe it."""
    first = group[0]
    path = scanner_dir / first.source
    if kind == "dicom":
        sources = tuple(scanner_dir / item.source for item in group)
        _check_one_series(sources)
    else:
        sources = sources_of(path, kind)
    check_scanner_file(path, kind)
    options = {key: getattr(rule, key) for key in OPTIONS}
    if conjugate is not None and first.role != "T1w":
        asked = not conjugate or any(_glob_matches(first.source, pattern) for pattern in conjugate)
        options["conjugate"] = options["conjugate"] or asked
    options["region"] = rule.region or first.entities.voi
    return ConvertJob(
        number=number,
        sources=tuple(str(source.resolve()) for source in sources),
        shown=tuple(source.relative_to(scanner_dir).as_posix() for source in sources),
        kind=kind,
        role=first.role,
        name=build_name(first.entities),
        rule=first.rule + 1,
        options=options,
    )


def _glob_matches(source: PurePosixPath, pattern: str) -> bool:
    return pattern_of(pattern).search(str(source)) is not None


def _check_one_series(sources: Sequence[Path]) -> None:
    """Raise where DICOM files of several series would become one BIDS file."""
    import pydicom

    series: dict[str, Path] = {}
    for source in sources:
        try:
            header: Any = pydicom.dcmread(source, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
        except (pydicom.errors.InvalidDicomError, OSError, EOFError, ValueError) as error:
            raise InputError(f"not a readable DICOM file ({error})", remedy="export it again", path=source) from error
        series.setdefault(str(header.get("SeriesInstanceUID", "")), source)
    if len(series) > 1:
        raise InputError(
            f"the DICOM files of {len(series)} series would become one BIDS file",
            remedy="narrow the pattern to one series, or let it capture (?P<run>...) or (?P<acq>...)",
            path=sources[0],
        )


def _unplaced_line(scanner_dir: Path, item: Unplaced) -> Line:
    companion = companion_of(scanner_dir / item.source)
    if companion is not None:
        return Line(str(item.source), "companion", reason=f"read together with {companion.name}")
    return Line(str(item.source), "failed" if item.failed else "left", reason=item.reason, remedy=item.remedy)


def _failed(target: Target, reason: str, remedy: str) -> Line:
    """Say what failed; ``output`` is the name the file would have got."""
    return Line(str(target.source), "failed", target.role, build_name(target.entities), reason, remedy)


def _nothing_matches(scanner_dir: Path, files: Sequence[PurePosixPath], *, default: bool) -> StudyError:
    """Return the error for a folder in which no rule finds anything, with what to write instead."""
    examples = ", ".join(str(file) for file in files[:3])
    which = "no rule of [[convert.scans]] matches any"
    if default:
        which = "none has a name that holds sub-LABEL, which the default rules need"
    rule = (
        "write a study.toml with one rule per kind of file, for example\n"
        "    [[convert.scans]]\n"
        "    pattern = '(?P<participant>[A-Za-z0-9]+)/(?P<visit>[A-Za-z0-9]+)/.*_act\\.SDAT$'\n"
        '    role = "svs"\n'
        '(and likewise role = "mrsref" for water, "T1w" for the image), and give it with --study; see docs/convert.md'
    )
    return StudyError(f"{len(files)} files ({examples}, ...), and {which}", remedy=rule, path=scanner_dir)
