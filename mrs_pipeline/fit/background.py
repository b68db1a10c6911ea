"""Macromolecules and lipids of a fit: modelled peaks, a measured file, or what the basis set brings."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from mrs_pipeline.basis import DEFAULT_METABOLITES, Basis, is_background, is_lipid
from mrs_pipeline.config import FitSection
from mrs_pipeline.errors import FitError, StudyError
from mrs_pipeline.fit.basis_check import checked_basis
from mrs_pipeline.fit.components import LIPIDS, MACROMOLECULES, Components, given_components, measured_basis
from mrs_pipeline.fit.priors import PeakFamily, Priors
from mrs_pipeline.spectrum import Spectrum

_ONE_PEAK = re.compile(r"[A-Za-z]+_?\d")
"""Names of single peaks carry their place, as MM09 or Lip13a; that of a whole spectrum does not."""


@dataclass(frozen=True, eq=False)
class Background:
    """What stands beside the metabolites.

    Parameters
    ----------
    priors
        Prior set without the peak families that are not modelled.
    signals
        Lineshape group and set of the signals that are used as they are.
    left_out
        Macromolecules and lipids of the basis set that are not used.
    kind
        ``"parametric"``, ``"basis"``, ``"measured"``, ``"none"``; ``"auto"`` where that found some in the set.
    """

    priors: Priors
    signals: tuple[tuple[int, Basis], ...]
    left_out: tuple[str, ...]
    kind: str

    def families(self) -> tuple[tuple[int, PeakFamily], ...]:
        """Lineshape group and family of the peaks that are modelled."""
        pairs = ((MACROMOLECULES, self.priors.macromolecules), (LIPIDS, self.priors.lipids))
        return tuple((group, family) for group, family in pairs if family.peaks)

    def components(self, spectrum: Spectrum) -> tuple[Components, ...]:
        """Signals that are used as they are, on the grid of the data."""
        return tuple(given_components(spectrum, basis, group) for group, basis in self.signals)

    def notes(self) -> tuple[str, ...]:
        """Say what of the basis set was not used, and what was used without being asked for."""
        if self.kind == "auto":
            taken = ", ".join(name for _, basis in self.signals for name in basis.names)
            return (f'{taken} of the basis set is the background ([fit] macromolecules = "parametric" models peaks)',)
        if not self.left_out:
            return ()
        instead = {
            "parametric": "macromolecules and lipids are modelled as peaks",
            "measured": "macromolecules are those of [fit] macromolecule_file",
            "none": '[fit] macromolecules is "none"',
        }[self.kind]
        hint = '[fit] macromolecules = "basis" uses those of the set'
        return (f"{', '.join(self.left_out)} of the basis set left out: {instead} ({hint})",)


def plan_background(priors: Priors, basis: Basis, settings: FitSection) -> Background:
    """Decide which macromolecules and lipids a fit has.

    Parameters
    ----------
    priors
        Prior set with the peaks that the window shows.
    basis
        Basis set as it was given, with or without macromolecules and lipids.
    settings
        The ``[fit]`` section. ``macromolecules = "auto"`` takes one whole macromolecule spectrum in the basis set for
        a measured one; single peaks in the set are modelled instead, since the soft ratios between them and their
        shifts and widths are known here and not there.

    Raises
    ------
    FitError
        ``"basis"``, and the set has no macromolecules.
    StudyError
        ``"measured"`` without a file, or with one that holds metabolites or lipids alone.
    """
    own = tuple(name for name in basis.names if is_background(name))
    mine = tuple(name for name in own if not is_lipid(name))
    kind = settings.macromolecules
    if kind == "auto" and not (len(mine) == 1 and not _ONE_PEAK.match(mine[0])):
        kind = "parametric"
    if kind == "none":
        return Background(_without(priors, "macromolecules", "lipids"), (), own, kind)
    if kind == "measured":
        return _measured(priors, measured_set(settings), own)
    if kind == "parametric":
        return Background(priors, (), own, kind)
    if not mine:
        raise FitError(
            '[fit] macromolecules is "basis", and the basis set has none (a name that starts with MM or Mac)',
            remedy='bring a set that has them, or set macromolecules = "auto"',
        )
    lipids = tuple(name for name in own if is_lipid(name))
    signals = [(MACROMOLECULES, basis.select(mine))]
    if not lipids:
        return Background(_without(priors, "macromolecules"), tuple(signals), (), kind)
    signals.append((LIPIDS, basis.select(lipids)))
    return Background(_without(priors, "macromolecules", "lipids"), tuple(signals), (), kind)


def measured_set(settings: FitSection) -> Basis:
    """Read the macromolecule file of the settings.

    Raises
    ------
    StudyError
        There is none, or it holds metabolites, or lipids alone.
    InputError, BasisError
        It cannot be read.
    """
    measured = checked_basis(measured_basis(_measured_file(settings)))
    metabolites = [name for name in measured.names if name in DEFAULT_METABOLITES]
    if metabolites:
        raise StudyError(
            f"[fit] macromolecule_file holds metabolites ({', '.join(metabolites)})",
            remedy="give a file of macromolecules alone; those of the basis set itself are taken with "
            'macromolecules = "basis"',
        )
    if all(is_lipid(name) for name in measured.names):
        raise StudyError(
            f"[fit] macromolecule_file holds lipids alone ({', '.join(measured.names)})",
            remedy='give a file with macromolecules, or set macromolecules = "parametric"',
        )
    return measured


def _measured(priors: Priors, measured: Basis, own: tuple[str, ...]) -> Background:
    """Use a measured file; lipids in it take the place of those that are modelled."""
    lipids = tuple(name for name in measured.names if is_lipid(name))
    mine = tuple(name for name in measured.names if name not in lipids)
    signals = ((MACROMOLECULES, measured.select(mine)), (LIPIDS, measured.select(lipids)))
    families = ("macromolecules", "lipids") if lipids else ("macromolecules",)
    return Background(_without(priors, *families), tuple(pair for pair in signals if pair[1].names), own, "measured")


def _without(priors: Priors, *families: str) -> Priors:
    """Drop the peaks of some families; their priors of shift and width stay."""
    return replace(priors, **{name: replace(getattr(priors, name), peaks=()) for name in families})


def _measured_file(settings: FitSection) -> str:
    if settings.macromolecule_file is None:
        raise StudyError(
            'macromolecules = "measured" without a file',
            remedy='set [fit] macromolecule_file, or macromolecules = "parametric"',
        )
    return settings.macromolecule_file
