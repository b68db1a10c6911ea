"""Nipype interface of the quantification room."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nipype.interfaces.base import File, TraitedSpec, traits

from mrs_pipeline.errors import MrsError
from mrs_pipeline.files import read_json, write_json
from mrs_pipeline.interfaces.anatomy import read_tissue
from mrs_pipeline.interfaces.base import MrsInterface

if TYPE_CHECKING:
    from mrs_pipeline.config import QuantifySection
    from mrs_pipeline.fit import FitResult
    from mrs_pipeline.nifti_mrs import NiftiMrs
    from mrs_pipeline.quantify import Quantified, ReceiverScale, ScanTiming, WaterFit


def water_over_tcr(fit: FitResult, water: WaterFit | None, scale: float = 1.0) -> float | None:
    """Water molecules seen per creatine molecule: some thousands in tissue, so a wrong scale of one scan stands out."""
    if water is None or fit.status == "failed" or not {"Cr", "PCr"} & set(fit.names):
        return None
    creatine = fit.combination(fit.weights("tCr"))[0]
    return float(water.amplitude * scale / creatine) if creatine > 0 else None


def start_times(metabolite: NiftiMrs, water: NiftiMrs) -> tuple[float, list[str]]:
    """Return by how much later after the echo the water starts in seconds, and what a reader must know of it.

    Both are preprocessed: points before the echo are cut, and what became of the metabolites' start was said there.
    """
    from mrs_pipeline.preprocess.echo import start_time

    later = start_time(water.header) - start_time(metabolite.header)
    if abs(later) <= water.spectrum.dwell / 2:
        return later, []
    said = (
        f"the water scan starts {1e3 * later:.3g} ms later after its echo than the preprocessed metabolite scan "
        "(AcquisitionStartTime): its amplitude was taken at the same time"
    )
    return later, [said]


def marked(quantified: Quantified, flag: str) -> Quantified:
    """Add a flag to every number of a scan."""
    rows = tuple(replace(row, flags=";".join(filter(None, [row.flags, flag]))) for row in quantified.rows)
    return replace(quantified, rows=rows)


class QuantifyInput(TraitedSpec):
    """A fit, a water reference and tissue fractions; the latter two may be missing."""

    svs = File(exists=True, mandatory=True, desc="preprocessed NIfTI-MRS: the timing of the metabolite scan")
    mrsref = traits.Str("", usedefault=True, desc="preprocessed water reference; empty without one")
    fit = File(exists=True, mandatory=True)
    fit_svs = File(exists=True, mandatory=True)
    tissue = File(exists=True, mandatory=True)
    basis_record = File(exists=True, mandatory=True)
    identity = traits.Str(mandatory=True, desc="entities of the scan as JSON")
    participant = traits.Str("{}", usedefault=True, desc="row of participants.tsv as JSON")
    sidecars = traits.Str("{}", usedefault=True, desc="merged BIDS sidecars by role, as JSON")
    settings = traits.Str(mandatory=True, desc="[quantify] as JSON")


class QuantifyOutput(TraitedSpec):
    """Concentrations with their data dictionary."""

    concentrations = File(exists=True)
    dictionary = File(exists=True)
    record = File(exists=True, desc="water fit, constants, warnings")


class Quantify(MrsInterface):
    """Turn amplitudes into ratios and concentrations."""

    input_spec = QuantifyInput
    output_spec = QuantifyOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        from mrs_pipeline.config import QuantifySection
        from mrs_pipeline.fit import read_fit
        from mrs_pipeline.nifti_mrs import read
        from mrs_pipeline.quantify import amplitudes_only, quantify, write_concentrations

        settings = QuantifySection.model_validate_json(self.inputs.settings)
        metabolite = read(self.inputs.svs)
        water = read(self.inputs.mrsref) if self.inputs.mrsref else None
        water_fit, problems = self._water_fit(metabolite, water)
        scale = self._scale(metabolite, water, settings)
        tissue = read_tissue(self.inputs.tissue)
        fit = read_fit(self.inputs.fit, self.inputs.fit_svs)
        if metabolite.spectrum.nucleus == "1H":
            quantified = quantify(fit, water_fit, tissue, self._timing(metabolite, water, scale), settings)
        else:
            quantified = amplitudes_only(fit, metabolite.spectrum.nucleus, tissue)
        if read_json(self.inputs.basis_record)["te_mismatch"]:
            quantified = marked(quantified, "basis_te_mismatch")
        dictionary = write_concentrations(quantified, json.loads(self.inputs.identity), cwd / "concentrations.tsv")
        record = {
            "water": None if water_fit is None else asdict(water_fit),
            "receiver_scale": asdict(scale),
            "water_over_tcr": water_over_tcr(fit, water_fit, scale.factor),
            "preset": quantified.preset,
            "preset_title": quantified.preset_title,
            "preset_status": quantified.preset_status,
            "constants": {name: asdict(constant) for name, constant in quantified.constants.items()},
            "sensitivity": [asdict(item) for item in quantified.sensitivity],
            "sensitivity_lines": quantified.sensitivity_lines(),
            "warnings": [*problems, *scale.warnings, *quantified.warnings],
        }
        return {
            "concentrations": cwd / "concentrations.tsv",
            "dictionary": dictionary,
            "record": write_json(record, cwd / "quantify.json"),
        }

    def _water_fit(self, metabolite: NiftiMrs, water: NiftiMrs | None) -> tuple[WaterFit | None, list[str]]:
        """Fit the water line; a water scan that cannot be fitted costs the absolute units, and is said."""
        from mrs_pipeline.quantify import fit_water

        if water is None:
            return None, []
        start, warnings = start_times(metabolite, water)
        try:
            return fit_water(water.spectrum, later=start), warnings
        except MrsError as error:
            return None, [*warnings, str(error)]

    def _scale(self, metabolite: NiftiMrs, water: NiftiMrs | None, settings: QuantifySection) -> ReceiverScale:
        """Read the receiver gains that headers and sidecars state."""
        from mrs_pipeline.quantify import ReceiverScale, receiver_scale

        if water is None:
            return ReceiverScale()
        sidecars = json.loads(self.inputs.sidecars)
        return receiver_scale(
            {**metabolite.header, **sidecars.get("svs", {})},
            {**water.header, **sidecars.get("conc", {})},
            settings.water_scale,
        )

    def _timing(self, metabolite: NiftiMrs, water: NiftiMrs | None, scale: ReceiverScale) -> ScanTiming:
        """Take the timing of both scans from their own headers, with what makes their signals comparable."""
        from mrs_pipeline.quantify import ScanTiming

        spectrum = None if water is None else water.spectrum
        return ScanTiming.of(metabolite.spectrum, spectrum, water_scale=scale.factor, age=self._age())

    def _age(self) -> float | None:
        try:
            return float(json.loads(self.inputs.participant).get("age"))
        except (TypeError, ValueError):
            return None
