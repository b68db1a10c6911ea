"""The scans of a dataset."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mrs_pipeline.bids.links import Candidate, Link, link_anatomical, link_reference
from mrs_pipeline.bids.names import Entities, parse_name
from mrs_pipeline.bids.sidecars import read_sidecar
from mrs_pipeline.errors import InputError, StudyError


@dataclass(frozen=True)
class Scan:
    """One metabolite spectrum with what belongs to it.

    Parameters
    ----------
    participant_id
        With its prefix, ``"sub-01"``.
    session, voi, acq, run, task
        Labels without their key; ``None`` where the name has none (``n/a`` in tables).
    svs
        The metabolite FID.
    conc, ecc
        Water reference for concentration and for eddy currents, often the same file.
    t1w
        T1-weighted image of the same visit.
    warnings
        What had to be said about missing or guessed files.
    entities
        All entities of the name of ``svs``.
    noise
        Scan without excitation for the noise covariance of the coils: an ``mrsref`` whose ``acq`` label contains
        ``noise``.
    """

    participant_id: str
    session: str | None
    voi: str | None
    acq: str | None
    run: str | None
    task: str | None
    svs: Path
    conc: Path | None
    ecc: Path | None
    t1w: Path | None
    warnings: tuple[str, ...]
    entities: Entities
    noise: Path | None = None

    @property
    def key(self) -> str:
        """The scan's name, as in ``"sub-01_ses-bl_voi-acc"``."""
        return self.entities.key


@dataclass(frozen=True)
class Skipped:
    """A file under ``mrs/`` that is no scan of ours, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Survey:
    """What a dataset holds: its scans, and the spectra left aside with the reason."""

    scans: tuple[Scan, ...]
    skipped: tuple[Skipped, ...]


def index(
    bids_dir: str | Path, participants: Iterable[str] | None = None, sessions: Iterable[str] | None = None
) -> tuple[Scan, ...]:
    """Return the scans of a dataset, sorted by name.

    Parameters
    ----------
    bids_dir
        Root of a BIDS dataset.
    participants, sessions
        Labels to keep, with or without ``sub-`` or ``ses-``; ``None`` keeps all.

    Raises
    ------
    StudyError
        The folder is not there, or a participant or session asked for is not in it.
    InputError
        It holds no single-voxel spectrum.
    """
    return survey(bids_dir, participants, sessions).scans


def survey(
    bids_dir: str | Path,
    participants: Iterable[str] | None = None,
    sessions: Iterable[str] | None = None,
    nucleus: str = "1H",
) -> Survey:
    """Return the scans as :func:`index` does, of the nucleus the study analyses, and the files left aside."""
    root = Path(bids_dir)
    if not root.is_dir():
        raise StudyError("there is no such BIDS folder", remedy="check the path", path=root)
    scans: list[Scan] = []
    skipped: list[Skipped] = []
    for folder in _mrs_folders(root):
        _survey_folder(folder, root, scans, skipped, nucleus)
    if not scans:
        raise InputError(
            "no single-voxel spectrum: no usable sub-*/[ses-*/]mrs/*_svs.nii.gz" + _because(skipped),
            remedy="convert scanner files with mrs-pipeline convert, or check that this is the root of the dataset",
            path=root,
        )
    kept = _select(scans, "participant", "sub-", participants, root)
    kept = _select(kept, "session", "ses-", sessions, root)
    return Survey(tuple(sorted(kept, key=lambda scan: scan.key)), tuple(skipped))


def _mrs_folders(root: Path) -> list[Path]:
    return sorted(
        folder for pattern in ("sub-*/mrs", "sub-*/ses-*/mrs") for folder in root.glob(pattern) if folder.is_dir()
    )


def _survey_folder(folder: Path, root: Path, scans: list[Scan], skipped: list[Skipped], nucleus: str) -> None:
    """Add the scans of one ``mrs/`` folder, and what is left aside."""
    spectra: list[Candidate] = []
    references: list[Candidate] = []
    for path in sorted([*folder.glob("*.nii.gz"), *folder.glob("*.nii")]):
        try:
            entities = parse_name(path.name)
        except InputError as error:
            skipped.append(Skipped(path, f"{error.problem}; {error.remedy}"))
            continue
        if path.is_dir():
            skipped.append(Skipped(path, "a folder, not a file; put the file in its place"))
            continue
        reason = _why_not(entities, path, nucleus)
        if reason:
            skipped.append(Skipped(path, reason))
        elif entities.suffix == "mrsref":
            references.append(Candidate(path, entities))
        else:
            spectra.append(Candidate(path, entities))
    images = _t1w_images(folder.parent)
    scans += [_scan(item, references, images, root) for item in spectra]


def _why_not(entities: Entities, path: Path, nucleus: str) -> str | None:
    """Return why a spectrum is not one this pipeline analyses, or ``None``."""
    folders = {"sub": entities.sub, "ses": entities.ses}
    stated = dict(part.name.split("-", 1) for part in path.parents if part.name.startswith(("sub-", "ses-")))
    if stated != {key: value for key, value in folders.items() if value is not None}:
        return "its sub- and ses- labels are not those of its folders"
    if entities.suffix not in {"svs", "mrsref"}:
        return f"'{entities.suffix}' is not single-voxel spectroscopy"
    if entities.nuc not in {None, nucleus}:
        return f"nucleus {entities.nuc}: only {nucleus} is analysed ([fit] model and peaks decide)"
    if entities.inv is not None:
        return "inversion-recovery scan (inv-): a macromolecule measurement, not fitted as a metabolite scan"
    return None


def _t1w_images(visit: Path) -> list[Candidate]:
    found = []
    for path in sorted([*(visit / "anat").glob("*_T1w.nii.gz"), *(visit / "anat").glob("*_T1w.nii")]):
        try:
            found.append(Candidate(path, parse_name(path.name)))
        except InputError:
            continue
    return found


def _scan(item: Candidate, references: list[Candidate], images: list[Candidate], root: Path) -> Scan:
    """Put one scan together."""
    entities = item.entities
    subject_dir = root / f"sub-{entities.sub}"
    try:
        sidecar = read_sidecar(item.path)
        trouble: tuple[str, ...] = ()
    except InputError as error:
        sidecar, trouble = {}, (str(error),)
    # a reference of another acquisition of inverted or foreign nuclei was left aside before
    link: Link = link_reference(entities, sidecar, references, root, subject_dir)
    t1w, anatomical = link_anatomical(entities, sidecar, images, root, subject_dir)
    return Scan(
        participant_id=f"sub-{entities.sub}",
        session=entities.ses,
        voi=entities.voi,
        acq=entities.acq,
        run=entities.run,
        task=entities.task,
        svs=item.path,
        conc=link.conc,
        ecc=link.ecc,
        t1w=t1w,
        warnings=(*trouble, *link.warnings, *anatomical),
        entities=entities.with_(suffix="", extension=""),
        noise=link.noise,
    )


def _select(scans: list[Scan], what: str, prefix: str, labels: Iterable[str] | None, root: Path) -> list[Scan]:
    """Keep the scans of the labels asked for; an unknown label is an error."""
    if labels is None:
        return scans
    wanted = {label.removeprefix(prefix) for label in labels}
    of = {
        id(scan): (scan.participant_id.removeprefix("sub-") if what == "participant" else scan.session)
        for scan in scans
    }
    known = sorted({label for label in of.values() if label})
    unknown = sorted(wanted - set(known))
    if unknown:
        raise StudyError(
            f"no scan of {what} {', '.join(unknown)}", remedy=f"choose from: {', '.join(known) or 'none'}", path=root
        )
    return [scan for scan in scans if of[id(scan)] in wanted]


def _because(skipped: list[Skipped]) -> str:
    return f" ({len(skipped)} left aside; the first, {skipped[0].path.name}: {skipped[0].reason})" if skipped else ""
