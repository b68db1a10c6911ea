"""Nipype interface of the basis room."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nipype.interfaces.base import File, TraitedSpec, isdefined, traits

from mrs_pipeline.errors import BasisError
from mrs_pipeline.files import write_json
from mrs_pipeline.interfaces.base import MrsInterface
from mrs_pipeline.interfaces.edited import mega_times, stated_editing

if TYPE_CHECKING:
    from mrs_pipeline.basis import Basis, Editing
    from mrs_pipeline.config import BasisSection, FitSection
    from mrs_pipeline.nifti_mrs import NiftiMrs
    from mrs_pipeline.spectrum import Spectrum

SEQUENCE_WORDS = {
    "mega": "mega-press",
    "press": "press",
    "steam": "steam",
    "slaser": "slaser",
    "semi-laser": "slaser",
    "semilaser": "slaser",
    "special": "special",
}
"""Words in a sidecar that name a sequence."""
SHAPED_FROM_MHZ = 123.0
"""Proton frequency of 2.9 T, from which PRESS is simulated with shaped pulses unless the settings say otherwise."""
PRESS_TE1_SHARE = 0.4
"""Part of TE in the first echo period of PRESS where nobody says: 0.33 (spant, 10 + 20 ms), 0.36 (GAMMA, 10.8 + 19.2
ms) and 0.41 (FID-A for Philips, 14.3 + 20.7 ms) in three published sets of 30 and 35 ms."""
PRESS_TE1_LEAST_S = 0.014
"""Least first echo period, half of TE where that is less. Two real scans (Philips) leave least behind at 13 to 14 ms of
TE 35 ms, and at 14 to 15 ms of TE 30 ms: the first period is as short as the pulses are, whatever TE."""
FIELD_STEP_MHZ = 0.05
"""Carriers of a study differ by some hundred Hz; sets are simulated on this grid and stretched by at most 0.02 %."""
GENERIC_PULSES = (
    "the basis was simulated with generic shaped pulses, since the scanner's own waveforms are not known "
    '([basis] pulses = "ideal" or a .basis file changes that)'
)
EXTRA_POINTS = 8
"""Points beyond the scan's, so that stretching never runs out of signal."""


class PrepareBasisInput(TraitedSpec):
    """The spectrum to be fitted decides field, bandwidth, points and echo time."""

    svs = File(exists=True, mandatory=True, desc="preprocessed NIfTI-MRS")
    basis_file = traits.Str(desc="file or folder of [basis] source")
    basis_sha256 = traits.Str(desc="its content, so that a changed set is read again")
    sidecars = traits.Str("{}", usedefault=True, desc="merged BIDS sidecars by role, as JSON")
    settings = traits.Str(mandatory=True, desc="[basis] as JSON")
    fit_settings = traits.Str("{}", usedefault=True, desc="[fit] as JSON: the peak model needs no basis set")
    cache = traits.Str(mandatory=True, nohash=True, desc="folder of simulated lines, shared by all processes")


class PrepareBasisOutput(TraitedSpec):
    """A basis set that belongs to the scan, and what is to be known about it."""

    basis = File(exists=True, desc="basis set; for the peak model its table")
    record = File(exists=True)


class PrepareBasis(MrsInterface):
    """Simulate or import the basis set of one scan, and refuse one that does not belong to it."""

    input_spec = PrepareBasisInput
    output_spec = PrepareBasisOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        from mrs_pipeline.basis import check_match
        from mrs_pipeline.config import BasisSection, FitSection
        from mrs_pipeline.nifti_mrs import read

        settings = BasisSection.model_validate_json(self.inputs.settings)
        fit_settings = FitSection.model_validate_json(self.inputs.fit_settings)
        scan = read(self.inputs.svs)
        spectrum = scan.spectrum
        if fit_settings.model == "peaks":
            return prepared_peaks(fit_settings, spectrum, cwd)
        refuse_other_nuclei(spectrum)
        sidecar = json.loads(self.inputs.sidecars).get("svs", {})
        if settings.source == "simulate":
            manufacturer = sidecar.get("Manufacturer") or scan.manufacturer
            cache = Path(self.inputs.cache)
            basis, assumed = simulated(
                spectrum,
                settings,
                stated_sequence(sidecar),
                manufacturer,
                cache,
                editing=known_editing(scan, sidecar, settings),
            )
        else:
            path = self.inputs.basis_file if isdefined(self.inputs.basis_file) else settings.source
            basis, assumed = imported(str(path), settings, stated_sequence(sidecar))
        warnings = (*assumed, *check_match(basis, spectrum, allow_te_mismatch=settings.allow_te_mismatch))
        write_basis_file(basis, cwd / "basis.npz")
        record = {**basis_record(basis, warnings), "te_mismatch": te_mismatch(basis, spectrum)}
        return {"basis": cwd / "basis.npz", "record": write_json(record, cwd / "basis.json")}


def known_editing(scan: NiftiMrs, sidecar: dict[str, Any], settings: BasisSection) -> Editing | None:
    """Return the editing pulses of a scan; ``None`` where they cannot be told, which the difference says."""
    try:
        return stated_editing(scan, sidecar, settings)[0]
    except BasisError:
        return None


def prepared_peaks(settings: FitSection, spectrum: Spectrum, cwd: Path) -> dict[str, Any]:
    """Write the table of peaks in the place of a basis set, so that a changed table is fitted again, and its record."""
    from dataclasses import asdict

    from mrs_pipeline.fit import load_peaks

    table = load_peaks(settings.peaks)
    record = {
        "source": Path(settings.peaks).name,
        "sequence": f"none: sum of peaks ({table.title or 'own table'})",
        **dict.fromkeys(("pulses", "te1", "te2", "tm", "echo_time")),
        "field_mhz": spectrum.carrier_mhz,
        "scale": 1.0,
        "names": list(table.names),
        "notes": [f"nucleus {table.nucleus}, reference peak {table.reference}"],
        "warnings": [],
        "te_mismatch": False,
    }
    return {
        "basis": write_json(asdict(table), cwd / "peaks.json"),
        "record": write_json(record, cwd / "basis.json"),
    }


def refuse_other_nuclei(spectrum: Spectrum) -> None:
    """Stop at a nucleus for which there are no basis signals.

    Raises
    ------
    BasisError
        The scan is not of protons.
    """
    if spectrum.nucleus != "1H":
        raise BasisError(
            f"the scan is of {spectrum.nucleus}, and basis signals are of 1H",
            remedy='set [fit] model = "peaks" and peaks to a table of that nucleus',
        )


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


def foreseen(scan: NiftiMrs, sidecar: dict[str, Any], settings: BasisSection, path: str | None) -> tuple[str, ...]:
    """Return what will be assumed about a scan's basis set, without simulating more than one line of it.

    Parameters
    ----------
    scan, sidecar
        The metabolite scan as it lies in BIDS.
    settings
        ``[basis]``.
    path
        The basis set's file; ``None`` when it is simulated.

    Raises
    ------
    BasisError
        What the run would stop at: no such metabolite, times that do not fit the pulses, another echo time or field.
    """
    from mrs_pipeline.basis import check_match

    stated = stated_sequence(sidecar)
    if path is None:
        metabolites(settings)
        manufacturer = sidecar.get("Manufacturer") or scan.manufacturer
        basis, assumed = simulated(scan.spectrum, settings, stated, manufacturer, None, trial=True)
    else:
        basis, assumed = imported(path, settings, stated)
    return (*assumed, *check_match(basis, scan.spectrum, allow_te_mismatch=settings.allow_te_mismatch))


def first_echo_period(echo_time: float) -> float:
    """Return the first echo period of PRESS in seconds where only TE is known; never more than half of it."""
    return min(echo_time / 2, max(PRESS_TE1_SHARE * echo_time, PRESS_TE1_LEAST_S))


def simulated(
    spectrum: Spectrum,
    settings: BasisSection,
    sequence_stated: str | None,
    manufacturer: str | None,
    cache: Path | None,
    *,
    trial: bool = False,
    editing: Editing | None = None,
) -> tuple[Basis, tuple[str, ...]]:
    """Simulate the set of one scan, or take it from the cache; what had to be assumed comes back as sentences.

    ``editing`` are the pulses of MEGA-PRESS; other sequences have none. A ``trial`` simulates creatine alone, at a few
    points: enough to see that it can be done.
    """
    if spectrum.echo_time is None:
        raise BasisError(
            "the scan states no echo time, so no basis set can be simulated for it",
            remedy="add EchoTime (in seconds) to the sidecar, or echo_time to the scan's rule under [[convert.scans]]",
        )
    sequence = settings.sequence or sequence_stated or "press"
    assumed = [] if settings.sequence or sequence_stated else ["the scan does not state its sequence: PRESS is assumed"]
    assumed += other_sequence(settings.sequence, sequence_stated)
    te1, te2 = settings.te1, settings.te2
    if sequence == "press" and te1 is None and te2 is None:
        te1 = first_echo_period(spectrum.echo_time)
        te2 = spectrum.echo_time - te1
        assumed.append(f"[basis] te1 is not set: {1e3 * te1:.3g} ms are taken as the first echo period of PRESS")
    elif sequence == "press":
        te1 = spectrum.echo_time - (te2 or 0.0) if te1 is None else te1
        te2 = spectrum.echo_time - te1 if te2 is None else te2
    elif sequence == "mega-press":
        te1, te2, times = mega_times(settings, spectrum.echo_time)
        assumed += times
    elif te1 is None:
        te1 = spectrum.echo_time
    pulses, why = pulses_for(settings, sequence, spectrum.carrier_mhz, manufacturer)
    field = round(spectrum.carrier_mhz / FIELD_STEP_MHZ) * FIELD_STEP_MHZ
    points = EXTRA_POINTS if trial else spectrum.n_points + EXTRA_POINTS
    names = ("Cr",) if trial else metabolites(settings)
    known = (
        sequence, te1, te2, settings.tm or spectrum.mixing_time, field, spectrum.dwell, points, spectrum.reference_ppm,
        pulses, names, cache,
    )  # fmt: skip
    try:
        basis = _simulate(*known, editing if sequence == "mega-press" else None)
    except BasisError:
        if editing is None or sequence != "mega-press":
            raise
        basis = _simulate(*known)
        assumed.append("the editing pulses of the scan do not fit between its refocusing pulses: usual ones were taken")
    return basis, (*assumed, *why)


def pulses_for(
    settings: BasisSection, sequence: str, carrier_mhz: float, manufacturer: str | None
) -> tuple[Literal["ideal", "shaped"], tuple[str, ...]]:
    """Decide between ideal and shaped pulses, and say so where the settings leave it open.

    Notes
    -----
    A scanner's PRESS refocuses with pulses of about 1 kHz bandwidth, so that coupled spins see them at different places
    (four-compartment effect). On the two real Philips PRESS scans at 3 T an ideal basis gives Glu/tCr 1.7 and leaves a
    residual variance of 2.4 and 3.8 times the noise; a shaped one gives 1.3 and 1.1, and leaves 1.9 and 3.2 times
    (docs/fit.md). Simulated data state no manufacturer.
    """
    if settings.pulses != "auto":
        return settings.pulses, ()
    if sequence in {"press", "mega-press"} and carrier_mhz >= SHAPED_FROM_MHZ and manufacturer:
        return "shaped", (GENERIC_PULSES,)
    return "ideal", ()


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
    pulses: Literal["ideal", "shaped"],
    names: tuple[str, ...],
    cache: Path | None,
    editing: Editing | None = None,
) -> Basis:
    """Simulate once per process and protocol; the scans of a study share one set, and processes share the cache."""
    from mrs_pipeline.basis import simulate_basis

    return simulate_basis(
        sequence, te1=te1, te2=te2, tm=tm, field_mhz=field_mhz, dwell=dwell, n_points=n_points, names=names,
        pulses=pulses, reference_ppm=reference_ppm, cache_dir=cache, edit="off", editing=editing,
    )  # fmt: skip


def metabolites(settings: BasisSection) -> tuple[str, ...]:
    """Return the metabolites to simulate: the default ones without those excluded, then those included.

    Raises
    ------
    BasisError
        A name to exclude or include that does not exist.
    """
    from mrs_pipeline.basis import DEFAULT_METABOLITES, canonical_name, molecule

    left_out = excluded(settings.exclude, DEFAULT_METABOLITES)
    names = [name for name in DEFAULT_METABOLITES if name not in left_out]
    return (*names, *(molecule(name).name for name in map(canonical_name, settings.include) if name not in names))


def other_sequence(ours: str | None, stated: str | None) -> list[str]:
    """Say where the basis set is of another sequence than the one the scan states."""
    if ours is None or stated is None or ours == stated or ours not in SEQUENCE_WORDS.values():
        return []
    return [f"the basis set is of {ours}, the scan states {stated}"]


@lru_cache(maxsize=4)
def _loaded(path: str) -> Basis:
    from mrs_pipeline.basis import load_basis

    return load_basis(path)


def imported(path: str, settings: BasisSection, stated: str | None) -> tuple[Basis, tuple[str, ...]]:
    """Read the set of a file, without the metabolites the settings leave out, and what is to be said about it."""
    basis = _loaded(path)
    left_out = excluded(settings.exclude, basis.names)
    kept = basis.select([name for name in basis.names if name not in left_out]) if left_out else basis
    return kept, tuple(other_sequence(basis.sequence, stated))


def excluded(names: tuple[str, ...], known: tuple[str, ...]) -> set[str]:
    """Return canonical names to leave out; a name that is not in the set is an error."""
    from mrs_pipeline.basis import canonical_name

    left_out = {canonical_name(name) for name in names}
    missing = sorted(left_out - set(known))
    if missing:
        raise BasisError(
            f"[basis] exclude names {', '.join(missing)}, which the basis set does not have",
            remedy=f"use names of the set: {', '.join(known)}",
        )
    return left_out


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
