"""Thin interfaces around the stats room: files in, the room's functions, files out."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

from nipype.interfaces.base import BaseInterfaceInputSpec, Directory, File, TraitedSpec, isdefined, traits

from mrs_pipeline import stats
from mrs_pipeline.bids import GROUP_FILES
from mrs_pipeline.config import Study
from mrs_pipeline.errors import StudyError
from mrs_pipeline.files import read_json, write_json
from mrs_pipeline.interfaces.base import MrsInterface
from mrs_pipeline.interfaces.provenance import package_versions

FREEZE_FILE = GROUP_FILES["analysis_set"]


def load_state(path: str | Path) -> Any:  # noqa: ANN401  whatever the earlier node of this run wrote
    """Read what an earlier node of the same run wrote into its folder."""
    return pickle.loads(Path(path).read_bytes())  # noqa: S301  our own file, written seconds ago


def _save_state(value: object, path: Path) -> Path:
    path.write_bytes(pickle.dumps(value))
    return path


class StudyInput(BaseInterfaceInputSpec):
    """What every node of the group level is given."""

    study = traits.Str(mandatory=True, desc="study settings as JSON")


class _CollectInput(StudyInput):
    bids_dir = Directory(exists=True, mandatory=True)
    out_dir = Directory(exists=True, mandatory=True)
    concentrations = File(desc="table from elsewhere")


class FolderOutput(TraitedSpec):
    """What every node of the group level leaves for the sink."""

    folder = Directory(desc="files laid out like the output")


class _StateOutput(FolderOutput):
    state = File(desc="what the next node needs, pickled")


class CollectTrial(MrsInterface):
    """Read the participant outputs and write the blinded tables."""

    input_spec = _CollectInput
    output_spec = _StateOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        study = Study.model_validate_json(self.inputs.study)
        table = Path(self.inputs.concentrations) if isdefined(self.inputs.concentrations) else None
        blinded = stats.read_blinded_trial(Path(self.inputs.bids_dir), Path(self.inputs.out_dir), study, table)
        folder = cwd / "files"
        tables = {
            "concentrations": (blinded.concentrations, stats.CONCENTRATIONS),
            "qc": (stats.qc_table(blinded), stats.QC),
            "flow": (stats.flow_table(blinded, study), stats.FLOW),
        }
        for kind, (rows, columns) in tables.items():
            stats.write_tsv(rows, folder / GROUP_FILES[kind], stats.data_dictionary(columns))
        (cwd / "warnings.json").write_text(json.dumps(blinded.warnings), encoding="utf-8")
        return {"state": _save_state(blinded, cwd / "blinded.pkl"), "folder": folder}


class _StateInput(StudyInput):
    state = File(exists=True, mandatory=True, desc="the blinded trial")
    out_dir = Directory(exists=True, mandatory=True)


class _FreezeInput(_StateInput):
    refreeze = traits.Str(desc="why an existing freeze is replaced")


class FreezeAnalysisSet(MrsInterface):
    """Freeze the analysis set, or confirm the one that exists."""

    input_spec = _FreezeInput
    output_spec = FolderOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        study = Study.model_validate_json(self.inputs.study)
        blinded, out_dir = load_state(self.inputs.state), Path(self.inputs.out_dir)
        stats.check_plan(blinded, study)
        frozen = stats.freeze_of(blinded, study, package_versions())
        existing = out_dir / FREEZE_FILE
        if existing.exists():
            reason = self.inputs.refreeze if isdefined(self.inputs.refreeze) else None
            frozen = stats.refreeze(
                read_json(existing), frozen, reason=reason, unblinded=(out_dir / GROUP_FILES["unblinding"]).exists()
            )
        folder = cwd / "files"
        write_json(frozen, folder / FREEZE_FILE)
        return {"folder": folder}


class _CompareInput(_StateInput):
    freeze = Directory(exists=True, desc="folder of a freeze made in this run; default: the one in out_dir")
    allocation = File(exists=True, desc="participant_id, arm, strata...")
    reference_arm = traits.Str(desc="arm a")


class CompareArms(MrsInterface):
    """Check the freeze, bring in the arms and estimate what the plan asks for."""

    input_spec = _CompareInput
    output_spec = _StateOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        study = Study.model_validate_json(self.inputs.study)
        blinded = load_state(self.inputs.state)
        frozen, drift = self._checked_freeze(blinded, study)
        comparison = stats.compare(blinded, self._allocation(blinded, study), study, frozen, drift)
        folder = cwd / "files"
        stats.write_comparison(comparison, folder / Path(GROUP_FILES["effects"]).parent)
        return {"state": _save_state(comparison, cwd / "comparison.pkl"), "folder": folder}

    def _checked_freeze(self, blinded: Any, study: Study) -> tuple[dict[str, Any], list[str]]:  # noqa: ANN401
        root = self.inputs.freeze if isdefined(self.inputs.freeze) else self.inputs.out_dir
        path = Path(root) / FREEZE_FILE
        if not path.exists():
            raise StudyError(
                "the arms cannot be compared before the analysis set is frozen",
                remedy="run with --freeze first",
                path=path,
            )
        frozen, today = read_json(path), stats.freeze_of(blinded, study, package_versions())
        stats.verify(frozen, today)
        return frozen, stats.software_changes(frozen, today)

    def _allocation(self, blinded: Any, study: Study) -> stats.Allocation | None:  # noqa: ANN401
        if not isdefined(self.inputs.allocation):
            return None
        reference = self.inputs.reference_arm if isdefined(self.inputs.reference_arm) else None
        return stats.read_allocation(
            Path(self.inputs.allocation),
            reference_arm=reference,
            known=blinded.known,
            scanned=blinded.scanned,
            strata=study.analysis.strata,
            n_arms=1 if study.analysis.design == "single-arm" else 2,
        )
