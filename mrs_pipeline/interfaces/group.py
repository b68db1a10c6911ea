"""Thin interfaces of the group level: reports and the sink."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nipype.interfaces.base import BaseInterfaceInputSpec, Directory, File, TraitedSpec, isdefined, traits

from mrs_pipeline.bids import GROUP_FILES
from mrs_pipeline.config import Study
from mrs_pipeline.files import atomic_write, read_json
from mrs_pipeline.interfaces.base import MrsInterface
from mrs_pipeline.interfaces.stats import FREEZE_FILE, FolderOutput, StudyInput, load_state


class _ReportInput(StudyInput):
    state = File(exists=True, mandatory=True)
    out_dir = Directory(exists=True, desc="output with an earlier freeze")
    freeze = Directory(exists=True, desc="folder of a freeze made in this run")


class BlindedReport(MrsInterface):
    """Write the blinded group report."""

    input_spec = _ReportInput
    output_spec = FolderOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        from mrs_pipeline.report.group_blind import write_group_report

        roots = [Path(root) for root in (self.inputs.freeze, self.inputs.out_dir) if isdefined(root)]
        frozen = next((read_json(root / FREEZE_FILE) for root in roots if (root / FREEZE_FILE).exists()), None)
        study = Study.model_validate_json(self.inputs.study)
        write_group_report(load_state(self.inputs.state), study, cwd / "files" / GROUP_FILES["report"], frozen)
        return {"folder": cwd / "files"}


class TrialReport(MrsInterface):
    """Write the report of the arm comparison."""

    input_spec = _ReportInput
    output_spec = FolderOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        from mrs_pipeline.report.group_trial import write_trial_report

        study = Study.model_validate_json(self.inputs.study)
        write_trial_report(load_state(self.inputs.state), study, cwd / "files" / GROUP_FILES["trial_report"])
        return {"folder": cwd / "files"}


class _SinkInput(BaseInterfaceInputSpec):
    folders = traits.List(Directory(exists=True), mandatory=True, desc="folders laid out like the output")
    out_dir = Directory(mandatory=True)


class _SinkOutput(TraitedSpec):
    out_files = traits.List(traits.Str)


class GroupSink(MrsInterface):
    """Copy whole folders of files into the output, each file atomically, once everything before has succeeded."""

    input_spec = _SinkInput
    output_spec = _SinkOutput
    _always_run = True

    def _work(self, cwd: Path) -> dict[str, Any]:  # noqa: ARG002
        out_dir = Path(self.inputs.out_dir)
        written = []
        for folder in map(Path, self.inputs.folders):
            for source in sorted(path for path in folder.rglob("*") if path.is_file()):
                relative = source.relative_to(folder)
                atomic_write(out_dir / relative, source.read_bytes())
                written.append(relative.as_posix())
        return {"out_files": written}
