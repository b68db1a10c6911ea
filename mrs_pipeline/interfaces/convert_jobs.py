"""One scanner file (or DICOM series) to one or more BIDS files in a staging folder; no Nipype in here."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mrs_pipeline.bids import Entities, build_name, parse_name, read_json
from mrs_pipeline.errors import InputError
from mrs_pipeline.files import atomic_write
from mrs_pipeline.interfaces.convert_image import shareable_image
from mrs_pipeline.nifti_mrs import (
    Format,
    NiftiMrs,
    anonymised,
    converter_arguments,
    facts_of,
    judge_orientation,
    read,
    read_lcmodel_control,
    read_lcmodel_raw,
    sidecar_of,
    water_over_metabolites,
    write,
)

MAIN_OUTPUTS = ("", "_STD_0")
"""Suffixes of the scan itself among spec2nii's outputs; the second is Philips data/list."""
EXTRA_OUTPUTS = {
    "_ref": "",
    "_STD_1": "",
    "_ref_ecc": "ecc",
    "_ecc": "ecc",
    "_rf_off": "ecc",
    "_ref_no_ovs": "conc",
    "_quant": "conc",
    "_rf_grads_ovs_off": "conc",
}
"""Water scans that spec2nii finds inside a metabolite file (GE, Philips, Siemens XA), by suffix: what each is for."""
UNUSED_OUTPUTS = ("_NOI", "_NAV", "_PHC", "_FRC", "_REJ")
"""Noise, navigators and rejected transients of Philips data/list."""
UNSUPPRESSED, SUPPRESSED = 1000.0, 50.0
"""Height of water over metabolites above which a spectrum, and below which a water reference, is doubtful."""
LINK_FIELDS = ("ReferenceSignal", "AnatomicalImage")
T1W_DIMENSIONS = 3
MAIN = "main"


@dataclass(frozen=True)
class ConvertJob:
    """One conversion.

    Parameters
    ----------
    number
        Position among all jobs, from 0.
    sources
        Absolute paths of every file read, the one the rule matched first.
    shown
        The same, relative to the folder of scanner files, for messages and tables.
    kind
        Format (:func:`mrs_pipeline.nifti_mrs.format_of`).
    role
        ``"svs"``, ``"mrsref"`` or ``"T1w"``.
    name
        BIDS file name.
    rule
        Number of the rule, from 1.
    options
        What the rule states: ``conjugate``, ``echo_time``, ``repetition_time``, ``reference_ppm``, ``spectral_width``,
        ``carrier_mhz``, ``body_part``, ``region``.
    """

    number: int
    sources: tuple[str, ...]
    shown: tuple[str, ...]
    kind: Format
    role: str
    name: str
    rule: int
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Name of the job's folders."""
        return f"{self.number:05d}"

    @property
    def source(self) -> Path:
        """The file the rule matched."""
        return Path(self.sources[0])


@dataclass(frozen=True)
class Staged:
    """One file ready to be put into the dataset: where it is, its BIDS name, sidecar, and what had to be said."""

    job: int
    path: str
    name: str
    sidecar: Mapping[str, Any]
    warnings: tuple[str, ...]
    converter: str


@dataclass(frozen=True)
class Problem:
    """Why a job gave nothing."""

    job: int
    problem: str
    remedy: str


def job_to_dict(job: ConvertJob) -> dict[str, Any]:
    """Return a job as plain JSON."""
    return asdict(job)


def job_from_dict(content: Mapping[str, Any]) -> ConvertJob:
    """Return the job that :func:`job_to_dict` wrote."""
    return ConvertJob(**{**content, "sources": tuple(content["sources"]), "shown": tuple(content["shown"])})


def prepare_command(job: ConvertJob, folder: Path) -> list[str] | None:
    """Return the converter's command line, or ``None`` where our own reader does it. Makes the folders it needs."""
    if job.kind in {"nifti", "lcmodel-raw"}:
        return None
    out = folder / job.id
    out.mkdir(parents=True, exist_ok=True)
    sources: tuple[Path, ...] = tuple(Path(source) for source in job.sources)
    if job.kind == "dicom":
        sources = (_gather(sources, folder / f"{job.id}-series"),)
    if job.role == "T1w":
        return [_program("dcm2niix"), "-b", "y", "-ba", "y", "-z", "n", "-f", MAIN, "-o", str(out), str(sources[0])]
    return converter_arguments(sources, job.kind, out, MAIN)


def _program(name: str) -> str:
    """Return a program's path: the one installed with this Python, else the one on PATH."""
    beside = Path(sys.executable).parent
    return shutil.which(name, path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}") or name


def _gather(sources: Sequence[Path], folder: Path) -> Path:
    """Link the files of one series into a folder of their own, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, source in enumerate(sources):
        link = folder / f"{number:05d}.dcm"
        link.unlink(missing_ok=True)
        link.symlink_to(source.resolve())
    return folder


def stage(job: ConvertJob, folder: Path, result: Mapping[str, Any] | None, out_dir: Path) -> list[Staged]:
    """Turn what the converter wrote into BIDS files in a staging folder.

    Parameters
    ----------
    job
        The conversion.
    folder
        Where :func:`prepare_command` made the converter write.
    result
        Exit code and last words of the converter; ``None`` where there was none.
    out_dir
        Staging folder.

    Raises
    ------
    InputError
        The converter failed or wrote nothing, or the result cannot be used; the path is the scanner file's.
    """
    if result is not None and result["returncode"] != 0:
        raise _converter_failed(job, str(result["message"]))
    target = out_dir / job.id
    target.mkdir(parents=True, exist_ok=True)
    if job.role == "T1w":
        return [_stage_t1w(job, folder, target)]
    try:
        return [_stage_mrs(job, nifti, name, target) for name, nifti in _read_outputs(job, folder)]
    except InputError as error:  # the user knows the scanner file, not our intermediate one
        raise InputError(error.problem, remedy=error.remedy, path=job.shown[0]) from error


def _converter_failed(job: ConvertJob, message: str) -> InputError:
    tool = "dcm2niix" if job.role == "T1w" else "spec2nii"
    return InputError(
        f"{tool} could not convert it ({message or 'no message'})",
        remedy="export the file again or in another format; a newer version of the converter may read it",
        path=job.shown[0],
    )


def _read_outputs(job: ConvertJob, folder: Path) -> list[tuple[str, NiftiMrs]]:
    """Return the BIDS name and content of every acquisition a scanner file holds."""
    if job.kind == "lcmodel-raw":
        return [(job.name, _read_raw(job))]
    if job.kind == "nifti":
        return [(job.name, read(job.source))]
    found = sorted((folder / job.id).glob("*.nii.gz"))
    if not found:
        raise InputError(
            "spec2nii reported success and wrote nothing",
            remedy="check that the file is complete, or export it in another format",
            path=job.shown[0],
        )
    named = [(_output_name(job, path, alone=len(found) == 1), path) for path in found]
    return [(name, read(path, {})) for name, path in named if name is not None]


def _output_name(job: ConvertJob, path: Path, *, alone: bool) -> str | None:
    """Return the BIDS name of one of the converter's outputs, or ``None`` for one that is not wanted."""
    suffix = path.name.removesuffix(".nii.gz").removeprefix(MAIN)
    if suffix in MAIN_OUTPUTS or alone:
        return job.name
    if suffix.startswith(UNUSED_OUTPUTS):
        return None
    role = EXTRA_OUTPUTS.get(suffix)
    if role is None:
        raise InputError(
            f"it holds several acquisitions (spec2nii wrote '{suffix}'), which only edited sequences do",
            remedy="split the file into one acquisition each, or export it again as one with a DIM_EDIT axis",
            path=job.shown[0],
        )
    if job.role != "svs":
        return None
    entities = parse_name(job.name)
    return build_name(entities.with_(suffix="mrsref", acq=((entities.acq or "") + role) or None))


def _read_raw(job: ConvertJob) -> NiftiMrs:
    """Read an LCModel RAW file; dwell time and field come from the rule or from the control file beside it."""
    width, carrier = job.options.get("spectral_width"), job.options.get("carrier_mhz")
    dwell, echo = (1.0 / width if width else None), None
    control = _control_of(job.source) if width is None or carrier is None else None
    if control is not None:
        found = read_lcmodel_control(control)
        dwell, carrier, echo = dwell or found.dwell, carrier or found.carrier_mhz, found.echo_time
    if dwell is None or carrier is None:
        raise InputError(
            "an LCModel RAW file states neither spectral width nor field, and there is no control file beside it",
            remedy="set spectral_width (Hz) and carrier_mhz in its rule of [[convert.scans]]",
            path=job.shown[0],
        )
    spectrum = read_lcmodel_raw(job.source, dwell, carrier, echo_time=echo)
    return NiftiMrs(spectrum, header={"ConversionMethod": "mrs-pipeline LCModel RAW reader"})


def _control_of(raw: Path) -> Path | None:
    """Return the control file in the same folder that names this file, or the only one there is."""
    found = [path for path in sorted(raw.parent.iterdir()) if path.is_file() and "control" in path.name.lower()]
    naming = [path for path in found if raw.name.lower() in path.read_text(encoding="latin-1").lower()]
    if naming:
        return naming[0]
    return found[0] if len(found) == 1 else None


def _stage_mrs(job: ConvertJob, nifti: NiftiMrs, name: str, target: Path) -> Staged:
    """Complete, check and write one acquisition."""
    entities = parse_name(name)
    facts = facts_of(job.source, job.kind)
    nifti = _completed(job, nifti, facts.header, entities)
    warnings = _checked(job, nifti, entities)
    sidecar = sidecar_of(nifti, {**_own_sidecar(job), **facts.sidecar}) | _place_fields(job, entities)
    suppressed = nifti.header.get("WaterSuppressed")
    if suppressed is not None:
        sidecar["WaterSuppression"] = suppressed
    path = write(nifti, target / name)
    return Staged(
        job.number, str(path), name, sidecar, tuple(warnings), str(nifti.header.get("ConversionMethod", "copied"))
    )


def _completed(job: ConvertJob, nifti: NiftiMrs, corrections: Mapping[str, Any], entities: Entities) -> NiftiMrs:
    """Fill in what the rule states, drop who was scanned, and undo mirroring where asked."""
    header = {**anonymised(nifti.header), **corrections}
    header |= {key: None for key in ("InversionTime", "MixingTime") if not header.get(key)}
    if entities.suffix == "mrsref":
        header["WaterSuppressed"] = False
    elif "WaterSuppressed" not in header:
        header["WaterSuppressed"] = True
    out = replace(nifti, header={}).with_header(**header)
    s = out.spectrum
    stated = "SpecFreqChemShift" in nifti.header or "ChemicalShiftOffset" in _own_sidecar(job)
    reference = job.options.get("reference_ppm")
    spectrum = replace(
        s,
        echo_time=s.echo_time if s.echo_time is not None else job.options.get("echo_time"),
        repetition_time=s.repetition_time if s.repetition_time is not None else job.options.get("repetition_time"),
        mixing_time=s.mixing_time or None,
        reference_ppm=s.reference_ppm if stated or reference is None else reference,
    )
    if job.options.get("conjugate"):
        spectrum = spectrum.with_fid(spectrum.fid.conj())
        out = out.with_processing("Conjugation", "the spectrum was mirrored about water in the converted file")
    return out.with_spectrum(spectrum)


def _checked(job: ConvertJob, nifti: NiftiMrs, entities: Entities) -> list[str]:
    """Raise on what makes a file unusable, return what is only worth saying."""
    s = nifti.spectrum
    expected = entities.nuc or "1H"
    if s.nucleus != expected:
        raise InputError(
            f"nucleus {s.nucleus}, where its rule says {expected}",
            remedy=f'set nucleus = "{s.nucleus}" in its rule of [[convert.scans]], or leave it out of the rules',
            path=job.shown[0],
        )
    if s.nucleus != "1H":
        return []
    if s.echo_time is None:
        raise InputError(
            "the file does not state its echo time, which every later step needs",
            remedy="set echo_time in seconds (0.03 for 30 ms) in its rule of [[convert.scans]]",
            path=job.shown[0],
        )
    warnings = [] if s.repetition_time is not None else ["no repetition time: no relaxation correction"]
    if "DIM_EDIT" in s.dims:
        warnings.append("edited spectra: the condition without editing, the difference and the sum are fitted")
    if not nifti.is_localised:
        warnings.append("the file does not say where the voxel is: no tissue fractions from the T1w")
    ratio = water_over_metabolites(s)
    if entities.suffix == "mrsref":
        if ratio < SUPPRESSED:
            warnings.append(f"water is only {ratio:.0f} times the metabolites: is this a water reference?")
        return warnings
    if ratio > UNSUPPRESSED:
        warnings.append(f'water is {ratio:.0f} times the metabolites: is this a water reference (role = "mrsref")?')
    verdict = judge_orientation(s)
    if verdict.verdict == "mirrored":
        raise InputError(
            f"the spectrum is mirrored about water (NAA, creatine and choline stand above it; "
            f"score {verdict.mirrored:.2f} against {verdict.straight:.2f})",
            remedy="convert with --conjugate, or conjugate = true in its rule and in that of its water reference",
            path=job.shown[0],
        )
    return warnings


def _own_sidecar(job: ConvertJob) -> dict[str, Any]:
    """Return the sidecar beside a NIfTI source, without identifying fields, links and what the file itself states."""
    if job.kind != "nifti":
        return {}
    path = job.source.with_name(job.source.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    if not path.is_file():
        return {}
    computed = {*LINK_FIELDS, "ResonantNucleus", "SpectrometerFrequency", "SpectralWidth", "NumberOfSpectralPoints"}
    return {key: value for key, value in anonymised(read_json(path)).items() if key not in computed}


def _place_fields(job: ConvertJob, entities: Entities) -> dict[str, Any]:
    """Body part and region, required with a ``voi`` label."""
    if entities.voi is None:
        return {}
    return {
        "BodyPart": job.options.get("body_part", "BRAIN"),
        "BodyPartDetails": job.options.get("region") or entities.voi,
    }


def _stage_t1w(job: ConvertJob, folder: Path, target: Path) -> Staged:
    """Take over an anatomical image: a NIfTI file without its private parts, or what dcm2niix made."""
    source = job.source if job.kind == "nifti" else _largest_image(job, folder / job.id)
    _check_image(source, job)
    path = atomic_write(target / job.name, shareable_image(source.read_bytes()))
    sidecar_path = source.with_name(source.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    sidecar = anonymised(read_json(sidecar_path)) if sidecar_path.is_file() else {}
    converter = "copied" if job.kind == "nifti" else f"dcm2niix {sidecar.get('ConversionSoftwareVersion', '')}".strip()
    return Staged(job.number, str(path), job.name, sidecar, (), converter)


def _largest_image(job: ConvertJob, folder: Path) -> Path:
    found = sorted(folder.glob("*.nii"), key=lambda path: (-path.stat().st_size, path.name))
    if not found:
        raise InputError(
            "dcm2niix wrote no image", remedy="check that these DICOM files are an image", path=job.shown[0]
        )
    return found[0]


def _check_image(path: Path, job: ConvertJob) -> None:
    """Raise unless a file is a complete three-dimensional image."""
    import numpy as np

    from mrs_pipeline.anatomy import load_image

    try:
        data = np.asanyarray(load_image(path).dataobj)
    except InputError as error:
        raise InputError(error.problem, remedy=error.remedy, path=job.shown[0]) from error
    if data.ndim != T1W_DIMENSIONS or not np.any(data):
        raise InputError(
            f"not a T1-weighted volume: the array is {' x '.join(map(str, data.shape))}",
            remedy="give a three-dimensional image",
            path=job.shown[0],
        )
