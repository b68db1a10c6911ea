"""Nipype interface of edited scans: basis, fit and table of the difference and of the sum of both conditions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nipype.interfaces.base import File, TraitedSpec, traits

from mrs_pipeline.errors import MrsError
from mrs_pipeline.files import atomic_write, read_json, write_json
from mrs_pipeline.interfaces.base import MrsInterface

if TYPE_CHECKING:
    from mrs_pipeline.basis import Basis, Editing
    from mrs_pipeline.config import BasisSection, FitSection
    from mrs_pipeline.fit import FitResult
    from mrs_pipeline.nifti_mrs import NiftiMrs
    from mrs_pipeline.spectrum import Spectrum

MEGA_TE1_S = 0.0128
"""First echo period of MEGA-PRESS where the settings state none: sequences keep it as short as their pulses allow."""
OUTPUTS = ("fit", "fit_svs", "concentrations", "dictionary")
MEANINGS = {
    "difference": {
        "ratio_tCr": "Amplitude relative to total creatine of the condition without editing, no relaxation correction",
        "ratio_tCr_sd": "SD of ratio_tCr, the two fits taken as independent",
    },
    "sum": {
        "amplitude": "Fitted amplitude: signal per molecule of one condition at t = 0; the basis set is made of two, "
        "as the data are, and has 2 for a proton",
    },
}
"""Columns whose meaning differs from that in the scan's own table."""


class FitEditedInput(TraitedSpec):
    """A spectrum made of both conditions of an edited scan, and the fit of its unedited condition."""

    kind = traits.Enum("difference", "sum", mandatory=True, desc="on minus off, or on plus off")
    svs = File(exists=True, mandatory=True, desc="preprocessed unedited condition")
    spectrum = traits.Str(mandatory=True, desc="difference or sum; empty where two conditions could not be told")
    fit = File(exists=True, mandatory=True, desc="fit of the unedited condition: total creatine for the difference")
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


class FitEditedOutput(TraitedSpec):
    """What came of the spectrum; empty texts where nothing did."""

    fit = traits.Str(desc="desc-differencefit_mrs.json or desc-sumfit_mrs.json")
    fit_svs = traits.Str(desc="model, baseline, residual")
    concentrations = traits.Str()
    dictionary = traits.Str()
    all_concentrations = File(exists=True, desc="table of the scan: unedited condition and what this spectrum adds")
    record = File(exists=True, desc="what was assumed, and why there is no fit where there is none")


class FitEdited(MrsInterface):
    """Fit difference or sum of an edited scan; a problem costs that spectrum, not the scan."""

    input_spec = FitEditedInput
    output_spec = FitEditedOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        kind = self.inputs.kind
        outputs: dict[str, Any] = dict.fromkeys(OUTPUTS, "")
        record: dict[str, Any] = {"kind": kind, "problem": "", "warnings": [], "basis": None}
        try:
            outputs |= self._fitted(cwd, record)
        except MrsError as error:
            record["problem"] = f"the {kind} spectrum was not fitted: {error.problem}; to fix it: {error.remedy}"
        target = (record["basis"] or {}).get("target", "")
        added = edited_rows(outputs["concentrations"], target) if kind == "difference" else []
        everything = Path(self.inputs.concentrations).read_text(encoding="utf-8") + "".join(added)
        return {
            **outputs,
            "all_concentrations": atomic_write(cwd / "concentrations.tsv", everything),
            "record": write_json(record, cwd / f"{kind}.json"),
        }

    def _fitted(self, cwd: Path, record: dict[str, Any]) -> dict[str, Any]:
        """Simulate, fit and quantify; what is to be known goes into the record."""
        from mrs_pipeline.config import BasisSection, FitSection
        from mrs_pipeline.fit import write_fit
        from mrs_pipeline.nifti_mrs import read

        kind = self.inputs.kind
        if not self.inputs.spectrum:
            record["problem"] = f"there is no {kind} spectrum: it needs two edit conditions"
            return {}
        scan = read(self.inputs.spectrum)
        settings = BasisSection.model_validate_json(self.inputs.basis_settings)
        sidecar = json.loads(self.inputs.sidecars).get("svs", {})
        editing, assumed = stated_editing(scan, sidecar, settings)
        basis, more = edited_basis(kind, scan, sidecar, settings, editing, Path(self.inputs.cache))
        record["basis"] = {"notes": list(basis.notes), "names": list(basis.names), "target": editing.target}
        record["warnings"] = [*assumed, *more]
        fit_settings = FitSection.model_validate_json(self.inputs.fit_settings)
        result = FITS[kind](scan.spectrum, basis, fit_settings, editing)
        outputs = {"fit": cwd / "fit.json", "fit_svs": cwd / "fit_svs.nii.gz"}
        write_fit(result, outputs["fit"], outputs["fit_svs"], scan)
        return {**outputs, **self._table(result, scan, cwd, record)}

    def _table(self, result: FitResult, scan: NiftiMrs, cwd: Path, record: dict[str, Any]) -> dict[str, Any]:
        """Write the concentrations, the difference with creatine of the unedited condition, the sum with its own."""
        from mrs_pipeline.fit import read_fit, with_creatine, write_fit
        from mrs_pipeline.interfaces.quantify import Quantify

        if self.inputs.kind == "difference":
            result = with_creatine(result, read_fit(self.inputs.fit, self.inputs.fit_svs))
        folder = cwd / "quantify"
        folder.mkdir(exist_ok=True)
        write_fit(result, folder / "fit.json", folder / "fit_svs.nii.gz", scan)
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
        record["warnings"] += read_json(Path(made.record))["warnings"]
        return {"concentrations": made.concentrations, "dictionary": self._dictionary(Path(made.dictionary))}

    def _dictionary(self, path: Path) -> Path:
        """Say in the data dictionary where a column of this table means something of its own."""
        table = read_json(path)
        for column, text in MEANINGS[self.inputs.kind].items():
            table[column]["Description"] = text
        return write_json(table, path)


def _difference(spectrum: Spectrum, basis: Basis, settings: FitSection, editing: Editing) -> FitResult:
    from mrs_pipeline.fit import fit_difference

    return fit_difference(spectrum, basis, settings, editing.target, editing.off_ppm)


def _sum(spectrum: Spectrum, basis: Basis, settings: FitSection, editing: Editing) -> FitResult:
    from mrs_pipeline.fit import fit_sum

    return fit_sum(spectrum, basis, settings, editing)


FITS = {"difference": _difference, "sum": _sum}
"""How each kind of spectrum is fitted."""


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


def edited_basis(
    kind: Literal["difference", "sum"],
    scan: NiftiMrs,
    sidecar: dict[str, Any],
    settings: BasisSection,
    editing: Editing,
    cache: Path,
) -> tuple[Basis, tuple[str, ...]]:
    """Simulate the difference or sum signals of a scan, and say what was assumed about it.

    Both are made of the same lines in the cache; the sum has the metabolites that ``[basis]`` asks a simulation for.

    Raises
    ------
    BasisError
        No echo time, or times too short for the pulses.
    """
    from mrs_pipeline.basis import DEFAULT_METABOLITES, simulate_basis
    from mrs_pipeline.errors import BasisError
    from mrs_pipeline.fit.edited import edited_priors
    from mrs_pipeline.interfaces.basis import EXTRA_POINTS, FIELD_STEP_MHZ, metabolites, pulses_for

    spectrum = scan.spectrum
    if spectrum.echo_time is None:
        raise BasisError("the scan states no echo time", remedy="add EchoTime (in seconds) to the sidecar")
    te1, te2, assumed = mega_times(settings, spectrum.echo_time)
    manufacturer = sidecar.get("Manufacturer") or scan.manufacturer
    pulses, why = pulses_for(settings, "mega-press", spectrum.carrier_mhz, manufacturer)
    wanted = edited_priors(editing.target).metabolites or DEFAULT_METABOLITES
    basis = simulate_basis(
        "mega-press", te1=te1, te2=te2, field_mhz=round(spectrum.carrier_mhz / FIELD_STEP_MHZ) * FIELD_STEP_MHZ,
        dwell=spectrum.dwell, n_points=spectrum.n_points + EXTRA_POINTS, reference_ppm=spectrum.reference_ppm,
        names=wanted if kind == "difference" else metabolites(settings), pulses=pulses, edit=kind, editing=editing,
        cache_dir=cache,
    )  # fmt: skip
    if kind == "sum" and settings.source != "simulate":
        assumed = [*assumed, "the sum is fitted with simulated signals: [basis] source holds those of one condition"]
    return basis, (*assumed, *why)
