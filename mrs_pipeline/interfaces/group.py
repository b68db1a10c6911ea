"""Thin interfaces of the group level: reports and the sink."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nipype.interfaces.base import BaseInterfaceInputSpec, Directory, TraitedSpec, traits

from mrs_pipeline.interfaces.base import MrsInterface
from mrs_pipeline.interfaces.sinks import copy_atomic


class _SinkInput(BaseInterfaceInputSpec):  # type: ignore[misc]  # nipype is untyped
    folders = traits.List(Directory(exists=True), mandatory=True, desc="folders laid out like the output")
    out_dir = Directory(mandatory=True)


class _SinkOutput(TraitedSpec):  # type: ignore[misc]
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
                copy_atomic(source, out_dir / relative)
                written.append(relative.as_posix())
        return {"out_files": written}
