"""Nipype interface of the basis room."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nipype.interfaces.base import File, TraitedSpec, isdefined, traits

from mrs_pipeline.errors import BasisError
from mrs_pipeline.interfaces.base import MrsInterface

if TYPE_CHECKING:
    from mrs_pipeline.basis import Basis
    from mrs_pipeline.config import BasisSection
    from mrs_pipeline.spectrum import Spectrum

SEQUENCE_WORDS = {
    "press": "press",
    "steam": "steam",
    "slaser": "slaser",
    "semi-laser": "slaser",
    "semilaser": "slaser",
    "special": "special",
}


class PrepareBasisInput(TraitedSpec):
    """The spectrum to be fitted decides field, bandwidth, points and echo time."""

    svs = File(exists=True, mandatory=True, desc="preprocessed NIfTI-MRS")
    basis_file = File(exists=True, desc="the .basis file of [basis] source, hashed by content")
    sidecars = traits.Str("{}", usedefault=True, desc="merged BIDS sidecars by role, as JSON")
    settings = traits.Str(mandatory=True, desc="[basis] as JSON")


class PrepareBasisOutput(TraitedSpec):
    """A basis set that belongs to the scan, and what is to be known about it."""

    basis = File(exists=True)
    record = File(exists=True)


class PrepareBasis(MrsInterface):
    """Simulate or import the basis set of one scan, and refuse one that does not belong to it."""

    input_spec = PrepareBasisInput
    output_spec = PrepareBasisOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        from mrs_pipeline.basis import check_match
        from mrs_pipeline.config import BasisSection
        from mrs_pipeline.nifti_mrs import read

        settings = BasisSection.model_validate_json(self.inputs.settings)
        spectrum = read(self.inputs.svs).spectrum
        sidecar = json.loads(self.inputs.sidecars).get("svs", {})
        if settings.source == "simulate":
            basis, assumed = simulated(spectrum, settings, stated_sequence(sidecar))
        else:
            path = self.inputs.basis_file if isdefined(self.inputs.basis_file) else settings.source
            basis, assumed = imported(str(path), settings), ()
        warnings = (*assumed, *check_match(basis, spectrum, allow_te_mismatch=settings.allow_te_mismatch))
        write_basis_file(basis, cwd / "basis.npz")
        record = {**basis_record(basis, warnings), "te_mismatch": te_mismatch(basis, spectrum)}
        (cwd / "basis.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        return {"basis": cwd / "basis.npz", "record": cwd / "basis.json"}


def te_mismatch(basis: Basis, spectrum: Spectrum) -> bool:
    """Whether a basis set of another echo time was let through (``[basis] allow_te_mismatch``)."""
    from mrs_pipeline.basis import check_match

    try:
        check_match(basis, spectrum, allow_te_mismatch=False)
    except BasisError:
        return True
    return False


def stated_sequence(sidecar: dict[str, Any]) -> str | None:
    """Return the sequence a sidecar states, in the names of [basis] sequence; ``None`` when it states none."""
    text = " ".join(str(sidecar.get(key, "")) for key in ("PulseSequenceType", "SequenceName", "ProtocolName")).lower()
    return next((name for word, name in SEQUENCE_WORDS.items() if word in text), None)


def simulated(spectrum: Spectrum, settings: BasisSection, sequence_stated: str | None) -> tuple[Basis, tuple[str, ...]]:
    """Simulate the set of one scan; what had to be assumed comes back as sentences."""
    if spectrum.echo_time is None:
        raise BasisError(
            "the scan states no echo time, so no basis set can be simulated for it",
            remedy="add EchoTime (in seconds) to the sidecar, or echo_time to the scan's rule under [[convert.scans]]",
        )
    sequence = settings.sequence or sequence_stated or "press"
    assumed = (
        [] if settings.sequence or sequence_stated else ["the scan does not state its sequence: PRESS was assumed"]
    )
    te1, te2 = settings.te1, settings.te2
    if sequence == "press" and te1 is None and te2 is None:
        te1 = te2 = spectrum.echo_time / 2
        assumed.append("[basis] te1 is not set: both echo periods of PRESS were taken as half of TE")
    elif sequence == "press":
        te1 = spectrum.echo_time - (te2 or 0.0) if te1 is None else te1
        te2 = spectrum.echo_time - te1 if te2 is None else te2
    elif te1 is None:
        te1 = spectrum.echo_time
    basis = _simulate(
        sequence, te1, te2, settings.tm or spectrum.mixing_time, spectrum.carrier_mhz, spectrum.dwell,
        spectrum.n_points,
        spectrum.reference_ppm, settings.pulses, settings.exclude, settings.include,
    )  # fmt: skip
    return basis, tuple(assumed)


@lru_cache(maxsize=8)
def _simulate(
    sequence: str,
    te1: float,
    te2: float | None,
    tm: float | None,
    field_mhz: float,
    dwell: float,
    n_points: int,
    reference_ppm: float,
    pulses: Any,  # noqa: ANN401  a literal type of the settings
    exclude: tuple[str, ...],
    include: tuple[str, ...],
) -> Basis:
    """Simulate once per process and protocol; the scans of a study share one set."""
    from mrs_pipeline.basis import DEFAULT_METABOLITES, canonical_name, simulate_basis

    left_out = {canonical_name(name) for name in exclude}
    names = [name for name in DEFAULT_METABOLITES if name not in left_out]
    names += [name for name in map(canonical_name, include) if name not in names]
    return simulate_basis(
        sequence, te1=te1, te2=te2, tm=tm, field_mhz=field_mhz, dwell=dwell, n_points=n_points, names=names,
        pulses=pulses,
        reference_ppm=reference_ppm,
    )  # fmt: skip


@lru_cache(maxsize=4)
def _loaded(path: str) -> Basis:
    from mrs_pipeline.basis import load_basis

    return load_basis(path)


def imported(path: str, settings: BasisSection) -> Basis:
    """Read the set of a file, without the metabolites the settings leave out."""
    from mrs_pipeline.basis import canonical_name

    basis = _loaded(path)
    left_out = {canonical_name(name) for name in settings.exclude}
    return basis.select([name for name in basis.names if name not in left_out]) if left_out else basis


def basis_record(basis: Basis, warnings: tuple[str, ...]) -> dict[str, Any]:
    """Return what the report says about a basis set; a source file by its name only."""
    facts = {
        name: getattr(basis, name)
        for name in ("sequence", "pulses", "te1", "te2", "tm", "echo_time", "field_mhz", "scale")
    }
    source = Path(basis.source).name if basis.source else ""
    return {
        "source": source,
        **facts,
        "names": list(basis.names),
        "notes": list(basis.notes),
        "warnings": list(warnings),
    }


def write_basis_file(basis: Basis, path: Path) -> None:
    """Write a basis set for the next node (lossless, unlike the exchange formats)."""
    from dataclasses import fields

    import numpy as np

    facts = {f.name: getattr(basis, f.name) for f in fields(basis) if f.name != "fids"}
    np.savez(path, fids=basis.fids, facts=np.array(json.dumps(facts)))


def read_basis_file(path: str | Path) -> Basis:
    """Read what :func:`write_basis_file` wrote."""
    import numpy as np

    from mrs_pipeline.basis import Basis

    with np.load(path, allow_pickle=False) as stored:
        facts = json.loads(str(stored["facts"]))
        named: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in facts.items()}
        return Basis(fids=stored["fids"], **named)
