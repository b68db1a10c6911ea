"""Writing derivatives: atomic copies under their BIDS names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from nipype.interfaces.base import DynamicTraitedSpec, TraitedSpec, traits

from mrs_pipeline.interfaces.base import MrsInterface


class SinkInput(DynamicTraitedSpec):
    """Any number of files, each under the kind of derivative it is."""

    base_directory = traits.Str(mandatory=True, desc="derivatives folder")
    names = traits.Dict(
        key_trait=traits.Str, value_trait=traits.Str, mandatory=True, desc="kind -> path below the folder"
    )


class SinkOutput(TraitedSpec):
    """Files written."""

    out_files = traits.List(traits.Str)


class DerivativesSink(MrsInterface):
    """Copy each input file to its derivative name; undefined inputs are left out.

    Never cached: a derivative that was deleted comes back on the next run.
    """

    input_spec = SinkInput
    output_spec = SinkOutput
    _always_run = True

    def __init__(self, kinds: list[str] | None = None, **inputs: Any) -> None:  # noqa: ANN401
        super().__init__(**inputs)
        self._kinds = kinds or []
        for kind in self._kinds:
            self.inputs.add_trait(kind, traits.Any)

    def _work(self, cwd: Path) -> dict[str, Any]:  # noqa: ARG002
        base = Path(self.inputs.base_directory)
        written = []
        for kind in self._kinds:
            source = getattr(self.inputs, kind)
            if isinstance(source, str) and source:
                target = base / self.inputs.names[kind]
                copy_atomic(Path(source), target)
                written.append(str(target.relative_to(base)))
        return {"out_files": written}


def copy_atomic(source: Path, target: Path) -> None:
    """Copy a file so that a killed run leaves the old one or the new one, never half of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with source.open("rb") as reader, temporary.open("wb") as writer:
            shutil.copyfileobj(reader, writer)
            writer.flush()
            os.fsync(writer.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
