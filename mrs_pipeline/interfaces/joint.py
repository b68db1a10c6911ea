"""Nipype interface of the joint fit of visits."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from nipype.interfaces.base import File, TraitedSpec, traits

from mrs_pipeline.files import write_json
from mrs_pipeline.interfaces.base import MrsInterface
from mrs_pipeline.interfaces.basis import read_basis_file


class FitVisitsInput(TraitedSpec):
    """Clean spectra, basis sets and concentrations of the visits of one region, in the order of the visits."""

    sessions = traits.List(traits.Str, mandatory=True, desc="session label of each visit")
    svs = traits.List(File(exists=True), mandatory=True, desc="preprocessed NIfTI-MRS of each visit")
    basis = traits.List(File(exists=True), mandatory=True, desc="basis set of each visit")
    concentrations = traits.List(File(exists=True), mandatory=True, desc="concentrations of each visit's own fit")
    absent = traits.Str("{}", usedefault=True, desc="visits without a result, with the reason, as JSON")
    identity = traits.Str(mandatory=True, desc="entities of the region as JSON")
    provenance = traits.Str("{}", usedefault=True, desc="sources, settings and versions as JSON")
    settings = traits.Str(mandatory=True, desc="[fit] as JSON")


class FitVisitsOutput(TraitedSpec):
    """Numbers of the joint fit, and the changes between visits."""

    joint = File(exists=True, desc="desc-joint_mrs.json")
    change = File(exists=True, desc="desc-change_mrs.tsv")
    change_dictionary = File(exists=True, desc="its data dictionary")
    joint_report = File(exists=True, desc="page that compares the joint fit with the fits apart")


class FitVisits(MrsInterface):
    """Fit the visits of one participant and region jointly."""

    input_spec = FitVisitsInput
    output_spec = FitVisitsOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        from mrs_pipeline.config import FitSection
        from mrs_pipeline.fit import Visit, change_rows, fit_visits, joint_record, unit_factors, write_changes
        from mrs_pipeline.nifti_mrs import read
        from mrs_pipeline.report.joint import write_joint_report

        given = zip(self.inputs.sessions, self.inputs.svs, self.inputs.basis, strict=True)
        visits = [Visit(session, read(svs).spectrum, read_basis_file(basis)) for session, svs, basis in given]
        fit = fit_visits(visits, FitSection.model_validate_json(self.inputs.settings))
        tables = zip(self.inputs.sessions, self.inputs.concentrations, strict=True)
        factors = {session: unit_factors(_rows(Path(table))) for session, table in tables}
        identity = json.loads(self.inputs.identity)
        rows = change_rows(fit, factors, identity)
        record = joint_record(fit)
        record["left_out"] = json.loads(self.inputs.absent) | record["left_out"]
        write_joint_report(record, rows, identity, cwd / "report.html")
        return {
            "joint": write_json({**record, "provenance": json.loads(self.inputs.provenance)}, cwd / "joint.json"),
            "change": cwd / "change.tsv",
            "change_dictionary": write_changes(rows, cwd / "change.tsv"),
            "joint_report": cwd / "report.html",
        }


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
