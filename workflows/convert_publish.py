"""From staged files to the dataset: files, links, sidecars, the files at the top, the conversion table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mrs_pipeline.workflows.convert_plan import Line

from mrs_pipeline.bids import (
    BIDSIGNORE,
    Candidate,
    Entities,
    bids_uri,
    dataset_description,
    json_text,
    link_anatomical,
    link_reference,
    parse_name,
    participants_table,
    read_json,
    read_table,
    readme,
    table_text,
)
from mrs_pipeline.config import Study
from mrs_pipeline.errors import InputError
from mrs_pipeline.files import atomic_write
from mrs_pipeline.interfaces.convert_jobs import LINK_FIELDS, ConvertJob, Problem, Staged
from mrs_pipeline.interfaces.provenance import package_versions, sha256

COLUMNS = ("source", "status", "role", "output", "reason", "remedy")


@dataclass(frozen=True)
class Published:
    """One file of the dataset: its path there, where it came from, whether it was new."""

    staged: Staged
    job: ConvertJob
    path: Path
    status: str
    warnings: tuple[str, ...]


def publish(
    bids_dir: Path,
    jobs: Sequence[ConvertJob],
    staged: Sequence[Staged],
    problems: Sequence[Problem],
    *,
    overwrite: bool,
    needs_t1w: bool = True,
) -> tuple[list[Line], list[Published]]:
    """Put staged files into the dataset, then write their sidecars with the links.

    A file that is there with other content is left as it is and reported, unless ``overwrite``.

    Parameters
    ----------
    bids_dir
        Root of the dataset.
    jobs
        All conversions; ``jobs[k].number == k``.
    staged, problems
        What became of them.
    overwrite
        Replace differing files.
    needs_t1w
        Say of a spectrum that its visit has no T1w.
    """
    lines = [_problem_line(jobs[item.job], item.problem, item.remedy) for item in problems]
    done: list[Published] = []
    for item in sorted(staged, key=lambda entry: (entry.name, entry.job)):
        job = jobs[item.job]
        path = place_of(bids_dir, parse_name(item.name))
        try:
            status = _put(Path(item.path).read_bytes(), path, overwrite=overwrite, claimed={p.path for p in done})
        except InputError as error:
            lines.append(_problem_line(job, error.problem, error.remedy))
            continue
        done.append(Published(item, job, path, status, item.warnings))
    done = [_with_sidecar(bids_dir, item, overwrite=overwrite, needs_t1w=needs_t1w) for item in done]
    lines += [_done_line(bids_dir, item) for item in done]
    return lines, done


def place_of(bids_dir: Path, entities: Entities) -> Path:
    """Return where a raw file belongs in the dataset."""
    from mrs_pipeline.bids import build_name

    visit = bids_dir / f"sub-{entities.sub}"
    if entities.ses:
        visit /= f"ses-{entities.ses}"
    return visit / ("anat" if entities.suffix == "T1w" else "mrs") / build_name(entities)


def _put(content: bytes, path: Path, *, overwrite: bool, claimed: set[Path]) -> str:
    """Write a file unless it is there; return ``"new"``, ``"unchanged"`` or ``"replaced"``."""
    if path in claimed:
        raise InputError(
            f"another scanner file has already become {path.name}",
            remedy='give the water scans different rules: acq, or reference = "conc" and "ecc"',
        )
    if not path.exists():
        atomic_write(path, content)
        return "new"
    if path.read_bytes() == content:
        return "unchanged"
    if not overwrite:
        raise InputError(
            f"{path.name} is already there with other content",
            remedy="compare them; then remove it, or convert with --overwrite",
        )
    atomic_write(path, content)
    return "replaced"


def _with_sidecar(bids_dir: Path, item: Published, *, overwrite: bool, needs_t1w: bool) -> Published:
    """Write the sidecar of a published file; one edited by hand is kept, but for its links."""
    links, warnings = _links(bids_dir, item)
    if needs_t1w and "_svs" in item.path.name and "AnatomicalImage" not in links:
        warnings.append("no T1w image of this visit: its tissue cannot be segmented")
    content = {**item.staged.sidecar, **links}
    path = item.path.with_name(item.path.name.removesuffix(".nii.gz") + ".json")
    if not content and not path.exists():
        return item
    if path.exists() and not overwrite:
        there = read_json(path)
        if _without_links(there) != _without_links(content):
            warnings.append(f"{path.name} differs from what the scanner file says (edited by hand?); it was kept")
            content = there
    text = json_text(content).encode()
    if not path.exists() or path.read_bytes() != text:
        atomic_write(path, text)
    return replace(item, warnings=(*item.warnings, *warnings))


def _without_links(sidecar: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in sidecar.items() if key not in LINK_FIELDS}


def _links(bids_dir: Path, item: Published) -> tuple[dict[str, Any], list[str]]:
    """Return the link fields of an MRS file, from what is in its visit's folders now."""
    entities = parse_name(item.path.name)
    if entities.suffix == "T1w":
        return {}, []
    visit = item.path.parent.parent
    subject = bids_dir / f"sub-{entities.sub}"
    fields: dict[str, Any] = {}
    warnings: list[str] = []
    if entities.suffix == "svs":
        link = link_reference(entities, {}, _candidates(visit / "mrs", "mrsref"), bids_dir, subject)
        found = list(dict.fromkeys(path for path in (link.conc, link.ecc) if path is not None))
        uris = [bids_uri(path, bids_dir) for path in found]
        if uris:
            fields["ReferenceSignal"] = uris[0] if len(uris) == 1 else uris
        warnings += link.warnings
    image, said = link_anatomical(entities, {}, _candidates(visit / "anat", "T1w"), bids_dir, subject)
    if image is not None:
        fields["AnatomicalImage"] = bids_uri(image, bids_dir)
    if entities.suffix == "svs":
        warnings += said
    return fields, warnings


def _candidates(folder: Path, suffix: str) -> list[Candidate]:
    return [Candidate(path, parse_name(path.name)) for path in sorted(folder.glob(f"*_{suffix}.nii.gz"))]


def write_top_files(
    bids_dir: Path, study: Study, study_path: Path | None, participants: Path | None, done: Sequence[Published]
) -> None:
    """Write what is missing at the top of the dataset, and bring ``participants.tsv`` and ``code/`` up to date.

    The study file and a tissue table beside it are kept in ``code/``, where later commands find them.
    """
    name = study.study.name
    missing = {
        "dataset_description.json": json_text(dataset_description(name)),
        "README.md": readme(name),
        ".bidsignore": BIDSIGNORE,
    }
    has_readme = any(bids_dir.glob("README*"))
    for file, text in missing.items():
        if not (bids_dir / file).exists() and not (file.startswith("README") and has_readme):
            atomic_write(bids_dir / file, text.encode())
    _write_participants(bids_dir, participants)
    if study_path is not None:
        _update(bids_dir / "code" / "study.toml", study_path.read_bytes())
        table = study_path.parent / study.tissue.table
        if table.is_file() and table.name == study.tissue.table:
            _update(bids_dir / "code" / table.name, table.read_bytes())
    _update(bids_dir / "code" / "provenance.json", json_text(_provenance(bids_dir, done)).encode())


def _write_participants(bids_dir: Path, given: Path | None) -> None:
    """Add the dataset's participants to ``participants.tsv``, with the columns of a table given."""
    path = bids_dir / "participants.tsv"
    present = sorted(folder.name for folder in bids_dir.glob("sub-*") if folder.is_dir())
    existing = read_table(path) if path.exists() else None
    table = participants_table(present, existing, read_table(given) if given else None, given or path)
    _update(path, table.encode())
    dictionary = given.with_suffix(".json") if given else None
    target = path.with_suffix(".json")
    if dictionary is not None and dictionary.is_file():
        if not target.exists():
            atomic_write(target, json_text(read_json(dictionary)).encode())
    elif not target.exists():
        atomic_write(target, json_text({"participant_id": {"Description": "Participant"}}).encode())


def _provenance(bids_dir: Path, done: Sequence[Published]) -> dict[str, Any]:
    """Return hashes of sources and results, merged with those of earlier conversions."""
    path = bids_dir / "code" / "provenance.json"
    old = read_json(path).get("Files", {}) if path.exists() else {}
    files = {name: entry for name, entry in old.items() if (bids_dir / name).exists()}
    for item in done:
        pairs = zip(item.job.shown, item.job.sources, strict=True)
        files[item.path.relative_to(bids_dir).as_posix()] = {
            "SHA256": sha256(item.path),
            "Converter": item.staged.converter,
            "Rule": item.job.rule,
            "Sources": [{"Name": shown, "SHA256": sha256(Path(source))} for shown, source in pairs],
        }
    return {"Versions": package_versions(), "Files": dict(sorted(files.items()))}


def _update(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        atomic_write(path, content)


def write_table(bids_dir: Path, lines: Sequence[Line]) -> Path:
    """Write ``code/conversion.tsv``; it says the same whether files were new or already there."""
    rows = [{column: getattr(line, column) for column in COLUMNS} for line in sorted_lines(lines)]
    for row in rows:
        if row["status"] in {"new", "unchanged", "replaced"}:
            row["status"] = "converted"
    path = bids_dir / "code" / "conversion.tsv"
    _update(path, table_text(COLUMNS, rows).encode())
    return path


def sorted_lines(lines: Sequence[Line]) -> list[Line]:
    """Return the lines by source, then output."""
    return sorted(lines, key=lambda line: (line.source, line.output))


def _problem_line(job: ConvertJob, problem: str, remedy: str) -> Line:
    """Say what failed; ``output`` is the name the file would have got."""
    return Line(job.shown[0], "failed", job.role, job.name, problem, remedy)


def _done_line(bids_dir: Path, item: Published) -> Line:
    output = item.path.relative_to(bids_dir).as_posix()
    role = parse_name(item.path.name).suffix
    return Line(item.job.shown[0], item.status, role, output, "; ".join(item.warnings))


def read_staged(path: Path) -> tuple[list[Staged], list[Problem]]:
    """Read what a chunk wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    staged = [Staged(**{**item, "warnings": tuple(item["warnings"])}) for item in content["staged"]]
    return staged, [Problem(**item) for item in content["problems"]]
