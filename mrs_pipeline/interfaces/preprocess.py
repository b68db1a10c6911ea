"""Nipype interface of the preprocessing room."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nipype.interfaces.base import File, TraitedSpec, isdefined, traits

from mrs_pipeline.errors import InputError
from mrs_pipeline.interfaces.base import MrsInterface

if TYPE_CHECKING:
    from mrs_pipeline.nifti_mrs import NiftiMrs
    from mrs_pipeline.preprocess import Preprocessed


class PreprocessInput(TraitedSpec):
    """A metabolite scan with its water references."""

    svs = File(exists=True, mandatory=True, desc="NIfTI-MRS of the metabolite scan")
    conc = File(exists=True, desc="water scan for concentrations")
    ecc = File(exists=True, desc="water scan for eddy currents")
    noise = File(exists=True, desc="noise scan for the covariance of the coils")
    sidecars = traits.Str("{}", usedefault=True, desc="merged BIDS sidecars by role, as JSON")
    settings = traits.Str(mandatory=True, desc="[preprocess] as JSON")


class PreprocessOutput(TraitedSpec):
    """The clean spectrum, its water, and the record of every step."""

    svs = File(exists=True)
    mrsref = traits.Str(desc="water reference; empty without one")
    edited_difference = traits.Str(desc="difference of edited sub-spectra; empty without them")
    edited_sum = traits.Str(desc="their sum; empty without them")
    record = File(exists=True)
    evidence = File(exists=True)


class Preprocess(MrsInterface):
    """Bring one scan from BIDS to one clean spectrum."""

    input_spec = PreprocessInput
    output_spec = PreprocessOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        from mrs_pipeline.config import PreprocessSection
        from mrs_pipeline.preprocess import hints_from_headers, preprocess, save

        scans, unread = self._scans()
        if scans["svs"].spectrum.nucleus == "1H":
            refuse_mirrored(scans["svs"])
        result = preprocess(
            scans["svs"].spectrum,
            scans["conc"].spectrum if "conc" in scans else None,
            scans["ecc"].spectrum if "ecc" in scans else None,
            PreprocessSection.model_validate_json(self.inputs.settings),
            noise=scans["noise"].spectrum if "noise" in scans else None,
            hints=hints_from_headers(*(scans[role].header if role in scans else {} for role in ("svs", "conc", "ecc"))),
        )
        result = replace(result, warnings=(*unread, *result.warnings))
        save(result, cwd / "preproc.json", cwd / "evidence.npz")
        write_preprocessed(result, scans["svs"], cwd / "preproc_svs.nii.gz")
        return {
            "svs": cwd / "preproc_svs.nii.gz",
            "mrsref": write_water(result, scans.get("conc"), cwd / "preproc_mrsref.nii.gz"),
            "edited_difference": write_edited(result, "difference", scans["svs"], cwd),
            "edited_sum": write_edited(result, "sum", scans["svs"], cwd),
            "record": cwd / "preproc.json",
            "evidence": cwd / "evidence.npz",
        }

    def _scans(self) -> tuple[dict[str, NiftiMrs], list[str]]:
        """Read the files that were given, each with its own sidecar; a reference that is damaged is said and left out.

        Without its water the scan still gives ratios.
        """
        from mrs_pipeline.nifti_mrs import read

        sidecars = json.loads(self.inputs.sidecars)
        paths = {role: getattr(self.inputs, role) for role in ("svs", "conc", "ecc", "noise")}
        scans: dict[str, NiftiMrs] = {}
        unread: list[str] = []
        for role, path in paths.items():
            if not isdefined(path):
                continue
            try:
                scans[role] = read(path, sidecar=sidecars.get(role))
            except InputError as error:
                if role == "svs":
                    raise
                name = Path(path).name
                unread.append(f"{name} was left out: {error.problem}; to fix it: {error.remedy}")
        return scans, list(dict.fromkeys(unread))


def refuse_mirrored(scan: NiftiMrs) -> None:
    """Stop at a spectrum that is mirrored about water instead of fitting it badly.

    Raises
    ------
    InputError
        NAA, creatine and choline clearly stand on the wrong side of water.
    """
    from mrs_pipeline.nifti_mrs import judge_orientation

    verdict = judge_orientation(scan.spectrum)
    if verdict.verdict == "mirrored":
        raise InputError(
            f"the spectrum is mirrored about water (pattern of NAA, creatine and choline: {verdict.mirrored:.2f} above "
            f"water, {verdict.straight:.2f} below)",
            remedy="convert it again with --conjugate, or with conjugate = true in its rule under [[convert.scans]]",
            path=scan.path,
        )


def remainder(result: Preprocessed) -> float:
    """Return the time of the metabolites' first point after the echo that preprocessing left, in seconds."""
    step = result.step("pre_echo")
    return 0.0 if step is None else float(step.parameters["remainder_s"])


def started(scan: NiftiMrs, remainder_s: float) -> NiftiMrs:
    """Return a file whose header states the time of its first point now, where it stated one."""
    stated = "AcquisitionStartTime" in scan.header
    return scan.with_header(AcquisitionStartTime=float(remainder_s)) if stated else scan


def write_preprocessed(result: Preprocessed, scan: NiftiMrs, path: Path) -> None:
    """Write the clean spectrum with every applied step in ``ProcessingApplied``."""
    from mrs_pipeline.nifti_mrs import write

    out = started(scan.with_spectrum(result.spectrum), remainder(result))
    for step in result.steps:
        if step.applied:
            out = out.with_processing(step.method, f"mrs_pipeline {step.name}: {step.reason}")
    write(out, path)


def write_edited(result: Preprocessed, name: str, scan: NiftiMrs, folder: Path) -> Path | str:
    """Write a spectrum made of edited sub-spectra and return its path; an empty text where there is none."""
    from mrs_pipeline.nifti_mrs import write

    if name not in result.edited:
        return ""
    out = started(scan.with_spectrum(result.edited[name]), remainder(result))
    out = out.with_processing("Addition" if name == "sum" else "Subtraction", name)
    return write(out, folder / f"edited_{name}.nii.gz")


def write_water(result: Preprocessed, scan: NiftiMrs | None, path: Path) -> str:
    """Write the water reference and return its path, or an empty string without one."""
    from mrs_pipeline.nifti_mrs import write
    from mrs_pipeline.preprocess.echo import plan, start_time

    if result.water is None or scan is None:
        return ""
    rest = plan(start_time(scan.header), result.water.dwell, restore=False).remainder_s
    out = started(scan.with_spectrum(result.water), rest)
    write(out.with_processing("Preprocessing", "mrs_pipeline: as the metabolite scan"), path)
    return str(path)
