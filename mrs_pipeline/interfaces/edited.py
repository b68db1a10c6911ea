"""Nipype interface of edited scans: basis, fit and table of the difference spectrum."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nipype.interfaces.base import File, TraitedSpec, traits

from mrs_pipeline.errors import MrsError
from mrs_pipeline.files import atomic_write, write_json
from mrs_pipeline.interfaces.base import MrsInterface

if TYPE_CHECKING:
    from mrs_pipeline.basis import Basis, Editing
    from mrs_pipeline.config import BasisSection
    from mrs_pipeline.fit import FitResult
    from mrs_pipeline.nifti_mrs import NiftiMrs

MEGA_TE1_S = 0.0128
"""First echo period of MEGA-PRESS where the settings state none: sequences keep it as short as their pulses allow."""
OUTPUTS = ("fit", "fit_svs", "concentrations", "dictionary")


class FitDifferenceInput(TraitedSpec):
    """An edited scan after preprocessing, and the fit of its unedited condition."""

    svs = File(exists=True, mandatory=True, desc="preprocessed unedited condition")
    difference = traits.Str(mandatory=True, desc="difference spectrum; empty where two conditions could not be told")
    fit = File(exists=True, mandatory=True, desc="fit of the unedited condition: gives total creatine")
    fit_svs = File(exists=True, mandatory=True)
    concentrations = File(exists=True, mandatory=True, desc="table of the unedited condition")
    mrsref = traits.Str("", usedefault=True, desc="preprocessed water reference; empty without one")
    tissue = File(exists=True, mandatory=True)
    sidecars = traits.Str("{}", usedefault=True, desc="merged BIDS sidecars by role, as JSON")
    identity = traits.Str(mandatory=True, desc="entities of the scan as JSON")
    participant = traits.Str("{}", usedefault=True, desc="row of participants.tsv as JSON")
    basis_settings = traits.Str(mandatory=True, desc="[basis] as JSON")
    fit_settings = traits.Str(mandatory=True, desc="[fit] as JSON")
    quantify_settings = traits.Str(mandatory=True, desc="[quantify] as JSON")
    cache = traits.Str(mandatory=True, nohash=True, desc="folder of simulated lines, shared by all processes")


class FitDifferenceOutput(TraitedSpec):
    """What came of the difference spectrum; empty texts where nothing did."""

    fit = traits.Str(desc="desc-differencefit_mrs.json")
    fit_svs = traits.Str(desc="model, baseline, residual")
    concentrations = traits.Str()
    dictionary = traits.Str()
    all_concentrations = File(exists=True, desc="table of the scan: unedited condition and what editing adds to it")
    record = File(exists=True, desc="what was assumed, and why there is no fit where there is none")


class FitDifference(MrsInterface):
    """Fit the difference of an edited scan; a problem costs the difference, not the scan."""

    input_spec = FitDifferenceInput
    output_spec = FitDifferenceOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        outputs: dict[str, Any] = dict.fromkeys(OUTPUTS, "")
        record: dict[str, Any] = {"problem": "", "warnings": [], "basis": None}
        try:
            outputs |= self._fitted(cwd, record)
        except MrsError as error:
            record["problem"] = f"the difference spectrum was not fitted: {error.problem}; to fix it: {error.remedy}"
        added = edited_rows(outputs["concentrations"], (record["basis"] or {}).get("target", ""))
        everything = Path(self.inputs.concentrations).read_text(encoding="utf-8") + "".join(added)
        return {
            **outputs,
            "all_concentrations": atomic_write(cwd / "concentrations.tsv", everything),
            "record": write_json(record, cwd / "difference.json"),
        }

    def _fitted(self, cwd: Path, record: dict[str, Any]) -> dict[str, Any]:
        """Simulate, fit and quantify; what is to be known goes into the record."""
        from mrs_pipeline.config import BasisSection, FitSection
        from mrs_pipeline.fit import fit_difference, write_fit
        from mrs_pipeline.nifti_mrs import read

        if not self.inputs.difference:
            record["problem"] = "there is no difference spectrum: it needs two edit conditions"
            return {}
        scan = read(self.inputs.difference)
        settings = BasisSection.model_validate_json(self.inputs.basis_settings)
        sidecar = json.loads(self.inputs.sidecars).get("svs", {})
        editing, assumed = stated_editing(scan, sidecar, settings)
        basis, more = difference_basis(scan, sidecar, settings, editing, Path(self.inputs.cache))
        record["basis"] = {"notes": list(basis.notes), "names": list(basis.names), "target": editing.target}
        record["warnings"] = [*assumed, *more]
        fit_settings = FitSection.model_validate_json(self.inputs.fit_settings)
        result = fit_difference(scan.spectrum, basis, fit_settings, editing.target, editing.off_ppm)
        outputs = {"fit": cwd / "fit.json", "fit_svs": cwd / "fit_svs.nii.gz"}
        write_fit(result, outputs["fit"], outputs["fit_svs"], scan)
        return {**outputs, **self._table(result, scan, cwd, record)}

    def _table(self, result: FitResult, scan: NiftiMrs, cwd: Path, record: dict[str, Any]) -> dict[str, Any]:
        """Write the concentrations of the difference, with ratios to the creatine of the unedited condition."""
        from mrs_pipeline.fit import read_fit, with_creatine, write_fit
        from mrs_pipeline.interfaces.quantify import Quantify

        joined = with_creatine(result, read_fit(self.inputs.fit, self.inputs.fit_svs))
        folder = cwd / "quantify"
        folder.mkdir(exist_ok=True)
        write_fit(joined, folder / "fit.json", folder / "fit_svs.nii.gz", scan)
        shared = {name: getattr(self.inputs, name) for name in ("svs", "mrsref", "tissue", "sidecars", "identity")}
        table = Quantify(
            **shared,
            participant=self.inputs.participant,
            settings=self.inputs.quantify_settings,
            fit=str(folder / "fit.json"),
            fit_svs=str(folder / "fit_svs.nii.gz"),
            basis_record=str(write_json({"te_mismatch": False}, folder / "basis.json")),
        )
        made = table.run(cwd=str(folder)).outputs
        record["warnings"] += json.loads(Path(made.record).read_text(encoding="utf-8"))["warnings"]
        return {"concentrations": made.concentrations, "dictionary": made.dictionary}


def edited_rows(table: str | Path, target: str) -> list[str]:
    """Return the rows of a difference table that the scan's table takes over, under names of their own.

    GABA+ has its name; what the unedited condition has too (Glx, GSH) is called ``Glx_edited``, ``GSH_edited``.
    """
    if not table:
        return []
    wanted = {"GABA+": "GABA+", "Glx": "Glx_edited"} if target == "GABA" else {target: f"{target}_edited"}
    header, *rows = Path(table).read_text(encoding="utf-8").splitlines()
    column = header.split("\t").index("metabolite")
    out = []
    for row in rows:
        cells = row.split("\t")
        if cells[column] in wanted:
            cells[column] = wanted[cells[column]]
            out.append("\t".join(cells) + "\n")
    return out


def stated_editing(scan: NiftiMrs, sidecar: dict[str, Any], settings: BasisSection) -> tuple[Editing, tuple[str, ...]]:
    """Return the editing pulses by settings, sidecar and header, in this order, and what was assumed."""
    from mrs_pipeline.basis import editing_of

    stated = {key: value for key, value in {**scan.header, **sidecar}.items() if key.startswith("Edit")}
    return editing_of(stated, settings.edit_target, settings.edit_on_ppm, settings.edit_off_ppm, settings.edit_duration)


def mega_times(settings: BasisSection, echo_time: float) -> tuple[float, float, list[str]]:
    """Return both echo periods of MEGA-PRESS, and what was assumed."""
    if settings.te1 is not None:
        return settings.te1, settings.te2 or echo_time - settings.te1, []
    if settings.te2 is not None:
        return echo_time - settings.te2, settings.te2, []
    said = f"[basis] te1 is not set: {1e3 * MEGA_TE1_S:g} ms of MEGA-PRESS are taken as the first echo period"
    return MEGA_TE1_S, echo_time - MEGA_TE1_S, [said]


def difference_basis(
    scan: NiftiMrs, sidecar: dict[str, Any], settings: BasisSection, editing: Editing, cache: Path
) -> tuple[Basis, tuple[str, ...]]:
    """Simulate the difference signals of a scan, and say what was assumed about it.

    Raises
    ------
    BasisError
        No echo time, or times too short for the pulses.
    """
    from mrs_pipeline.basis import DEFAULT_METABOLITES, simulate_basis
    from mrs_pipeline.errors import BasisError
    from mrs_pipeline.fit.edited import edited_priors
    from mrs_pipeline.interfaces.basis import EXTRA_POINTS, FIELD_STEP_MHZ, pulses_for

    spectrum = scan.spectrum
    if spectrum.echo_time is None:
        raise BasisError("the scan states no echo time", remedy="add EchoTime (in seconds) to the sidecar")
    te1, te2, assumed = mega_times(settings, spectrum.echo_time)
    manufacturer = sidecar.get("Manufacturer") or scan.manufacturer
    pulses, why = pulses_for(settings, "mega-press", spectrum.carrier_mhz, manufacturer)
    basis = simulate_basis(
        "mega-press", te1=te1, te2=te2, field_mhz=round(spectrum.carrier_mhz / FIELD_STEP_MHZ) * FIELD_STEP_MHZ,
        dwell=spectrum.dwell, n_points=spectrum.n_points + EXTRA_POINTS, reference_ppm=spectrum.reference_ppm,
        names=edited_priors(editing.target).metabolites or DEFAULT_METABOLITES, pulses=pulses, edit="difference",
        editing=editing, cache_dir=cache,
    )  # fmt: skip
    return basis, (*assumed, *why)
