"""Nipype interface of the fit room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nipype.interfaces.base import File, TraitedSpec, traits

from mrs_pipeline.interfaces.base import MrsInterface
from mrs_pipeline.interfaces.basis import read_basis_file


class FitInput(TraitedSpec):
    """A clean spectrum and its basis set."""

    svs = File(exists=True, mandatory=True, desc="preprocessed NIfTI-MRS")
    basis = File(exists=True, mandatory=True, desc="basis set (or table of peaks) from PrepareBasis")
    settings = traits.Str(mandatory=True, desc="[fit] as JSON")


class FitOutput(TraitedSpec):
    """Numbers and curves of the fit."""

    fit = File(exists=True, desc="desc-fit_mrs.json")
    fit_svs = File(exists=True, desc="model, baseline, residual")


class Fit(MrsInterface):
    """Fit one spectrum by linear combination, or as a sum of peaks."""

    input_spec = FitInput
    output_spec = FitOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        from mrs_pipeline.config import FitSection
        from mrs_pipeline.fit import fit_peaks, fit_spectrum, write_fit
        from mrs_pipeline.nifti_mrs import read

        scan = read(self.inputs.svs)
        settings = FitSection.model_validate_json(self.inputs.settings)
        if settings.model == "peaks":
            result = fit_peaks(scan.spectrum, settings)
        else:
            result = fit_spectrum(scan.spectrum, read_basis_file(self.inputs.basis), settings)
        outputs = {"fit": cwd / "fit.json", "fit_svs": cwd / "fit_svs.nii.gz"}
        write_fit(result, outputs["fit"], outputs["fit_svs"], scan)
        return outputs
