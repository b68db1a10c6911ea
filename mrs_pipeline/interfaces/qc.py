"""Nipype interface of the quality room."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nipype.interfaces.base import File, TraitedSpec, isdefined, traits

from mrs_pipeline.files import read_json, write_json
from mrs_pipeline.interfaces.base import MrsInterface

if TYPE_CHECKING:
    from mrs_pipeline.nifti_mrs import NiftiMrs
    from mrs_pipeline.qc import Rule

DEFINITIONS = {
    "fit_snr": "height of the tallest metabolite peak of the model over the noise SD",
    "fit_fwhm_hz": "full width at half maximum of a fitted singlet",
    "fit_fqn": "variance of the residual over that of the noise (1: nothing but noise is left)",
    "fit_baseline_dimensions": "effective dimensions of the baseline per ppm",
    "voxel_inside": "share of the voxel that lies in brain or CSF",
    "water_over_tcr": "water molecules seen per creatine molecule, neither corrected for relaxation",
    "voxel_outside_head": "share of the voxel outside the head",
    "voxel_skull_mm": "shortest distance of the voxel from the outside of the brain",
    "voxel_ventricle_mm": "shortest distance of the voxel from the ventricles",
    "voxel_deep_grey": "share of the voxel in deep grey matter, where T1 contrast tells grey from white poorly",
    "visit_dice": "twice the common volume of both visits' voxels over the sum of their volumes",
    "visit_distance_mm": "distance between the centres of both visits' voxels",
    "visit_angle_deg": "rotation between both visits' voxels",
    "protocol_deviations": "number of protocol fields outside their tolerance",
}
"""Metrics that do not come from preprocessing."""
PLACEMENT = ("outside_head", "skull_mm", "ventricle_mm", "deep_grey")
FIT_METRICS = ("status", "snr", "fwhm_hz", "fqn", "baseline_dimensions")


class AssessInput(TraitedSpec):
    """Everything that is measured about a scan."""

    raw_svs = File(exists=True, mandatory=True, desc="the scan as acquired, for the protocol")
    sidecars = traits.Str("{}", usedefault=True, desc="merged BIDS sidecars by role, as JSON")
    identity = traits.Str(mandatory=True, desc="entities of the scan as JSON")
    preproc_record = File(exists=True, mandatory=True)
    fit = File(exists=True, mandatory=True)
    tissue = File(exists=True, mandatory=True)
    quantify_record = File(exists=True, mandatory=True)
    overlap = File(exists=True, desc="overlap of the visits' voxels")
    provenance = traits.Str("{}", usedefault=True, desc="sources, settings and versions as JSON")
    settings = traits.Str(mandatory=True, desc="[qc] as JSON")
    protocol = traits.Str(mandatory=True, desc="[protocol] as JSON")


class AssessOutput(TraitedSpec):
    """Metrics, verdict, protocol."""

    qc = File(exists=True, desc="desc-qc_mrs.json")


class Assess(MrsInterface):
    """Judge one scan by the study's rules, blind to everything but the data."""

    input_spec = AssessInput
    output_spec = AssessOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        from mrs_pipeline.config import ProtocolSection, QcSection
        from mrs_pipeline.nifti_mrs import read
        from mrs_pipeline.preprocess import METRIC_DEFINITIONS
        from mrs_pipeline.qc import assess, check_protocol, load_rules

        record = read_json(self.inputs.preproc_record)
        metrics = {**record["metrics"], **self._other_metrics()}
        sidecar = json.loads(self.inputs.sidecars).get("svs", {})
        identity = json.loads(self.inputs.identity)
        facts = scan_facts(read(self.inputs.raw_svs, sidecar=sidecar), sidecar)
        protocol = check_protocol(facts, ProtocolSection.model_validate_json(self.inputs.protocol), identity["voi"])
        metrics["protocol_deviations"] = sum(item.within is False for item in protocol)
        rules = QcSection.model_validate_json(self.inputs.settings).rules
        verdict = assess(metrics, rules)
        out = {
            **metrics,
            "drift_hz": record["drift_hz"],
            "drift_deg": record["drift_deg"],
            "kept": record["kept"],
            "verdict": verdict.to_dict(),
            "limits": limits(load_rules(rules)),
            "protocol": [asdict(item) for item in protocol],
            "definitions": {k: v for k, v in {**METRIC_DEFINITIONS, **DEFINITIONS}.items() if k in metrics},
            "provenance": json.loads(self.inputs.provenance),
        }
        return {"qc": write_json(out, cwd / "qc.json")}

    def _other_metrics(self) -> dict[str, Any]:
        """Metrics of the fit, the voxel and the visits."""
        fit = read_json(self.inputs.fit)
        found = {f"fit_{name}": fit.get(name) for name in FIT_METRICS}
        found["water_over_tcr"] = read_json(self.inputs.quantify_record)["water_over_tcr"]
        tissue = read_json(self.inputs.tissue)["fractions"]
        found["voxel_inside"] = None if tissue is None else tissue["inside"]
        described = read_json(self.inputs.tissue)
        placement = described["placement"]
        found["voxel_name"] = described["name"]
        found |= {f"voxel_{name}": None if placement is None else placement[name] for name in PLACEMENT}
        if isdefined(self.inputs.overlap):
            found |= {
                f"visit_{key}": value
                for key, value in read_json(self.inputs.overlap).items()
                if isinstance(value, int | float)
            }
        return found


def limits(rules: Sequence[Rule]) -> dict[str, list[list[str | float]]]:
    """Return the limits that apply to each metric, as [operator, limit, severity]."""
    found: dict[str, list[list[str | float]]] = {}
    for rule in rules:
        found.setdefault(rule.metric, []).append([rule.operator, rule.limit, rule.severity])
    return found


def scan_facts(scan: NiftiMrs, sidecar: dict[str, Any]) -> dict[str, Any]:
    """Return what a scan states under the names of ``[protocol]``."""
    spectrum = scan.spectrum
    return {
        "sequence": sidecar.get("PulseSequenceType") or scan.header.get("SequenceName"),
        "echo_time": spectrum.echo_time,
        "repetition_time": spectrum.repetition_time,
        "voxel_size_mm": tuple(float(edge) for edge in scan.voxel_size_mm) if scan.is_localised else None,
        "transients": sidecar.get("NumberOfTransients"),
        "field_mhz": spectrum.carrier_mhz,
        "manufacturer": sidecar.get("Manufacturer") or scan.manufacturer,
    }
