"""Writing derivatives: atomic copies under their BIDS names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nipype.interfaces.base import DynamicTraitedSpec, TraitedSpec, traits

from mrs_pipeline.files import atomic_write
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
    """Copy each input file to its derivative name; a kind that did not come this time leaves no old file behind.

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
            target = base / self.inputs.names[kind]
            if not (isinstance(source, str) and source):
                target.unlink(missing_ok=True)
            else:
                atomic_write(target, Path(source).read_bytes())
                written.append(str(target.relative_to(base)))
        return {"out_files": written}
