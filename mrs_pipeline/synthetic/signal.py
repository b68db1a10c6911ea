"""Signal at the echo top as moles per compartment times relaxation weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrs_pipeline.spectrum import FloatArray
from mrs_pipeline.synthetic.constants import Constants, Relaxation


@dataclass(frozen=True)
class TissueMix:
    """Volume fractions of a box; they sum to 1."""

    gm: float
    wm: float
    csf: float

    def __post_init__(self) -> None:
        if min(self.gm, self.wm, self.csf) < 0 or abs(self.gm + self.wm + self.csf - 1) > 1e-6:
            raise ValueError(f"tissue fractions must be non-negative and sum to 1: {self}")

    @property
    def vector(self) -> FloatArray:
        """Fractions as (GM, WM, CSF)."""
        return np.asarray([self.gm, self.wm, self.csf])


def relaxation_weight(t1: float, t2: float, tr: float, te: float, flip_deg: float = 90.0) -> float:
    r"""Return the steady-state signal fraction of a spoiled spin echo.

    Notes
    -----
    :math:`R = \frac{\sin a\,(1-E_1)}{1-\cos a\,E_1}\,e^{-TE/T_2}`, :math:`E_1=e^{-TR/T_1}` (Ernst & Anderson 1966,
    doi:10.1063/1.1719961); all times in seconds. The finite echo time within TR is neglected.
    """
    e1 = np.exp(-tr / t1)
    a = np.deg2rad(flip_deg)
    return float(np.sin(a) * (1 - e1) / (1 - np.cos(a) * e1) * np.exp(-te / t2))


def water_moles(mix: TissueMix, constants: Constants) -> FloatArray:
    """Return mmol of water per litre of box in (GM, WM, CSF), for water of unit density."""
    return np.asarray(mix.vector * np.array(constants.water.content) * constants.water.molality)


def metabolite_moles(name: str, molal: float, mix: TissueMix, constants: Constants) -> FloatArray:
    """Return mmol of a metabolite per litre of box in (GM, WM); there is none in CSF.

    Parameters
    ----------
    molal
        Concentration in mmol per kg water of the box's tissue (GM and WM together). With a white-to-grey ratio other
        than 1 the two compartments differ and this is their water-weighted mean.
    """
    water = mix.vector[:2] * np.array(constants.water.content[:2])
    profile = np.array([1.0, constants.white_to_grey.get(name, 1.0)])
    weight = water * profile
    return np.asarray(molal * water.sum() * weight / weight.sum()) if weight.sum() > 0 else np.zeros(2)


def per_litre(molal: float, mix: TissueMix, constants: Constants) -> float:
    """Return mmol per litre of tissue without CSF from mmol per kg tissue water (identity of Near 2021, eqs 4-6)."""
    water = mix.vector[:2] * np.array(constants.water.content[:2])
    return float(molal * constants.water.density_kg_per_l * water.sum() / mix.vector[:2].sum())


def water_weights(constants: Constants, tr: float, te: float) -> FloatArray:
    """Return the relaxation weights of water in (GM, WM, CSF)."""
    water = constants.water
    return np.array([relaxation_weight(t1, t2, tr, te) for t1, t2 in zip(water.t1, water.t2, strict=True)])


def metabolite_weights(times: Relaxation, tr: float, te: float) -> FloatArray:
    """Return the relaxation weights of a metabolite in (GM, WM)."""
    grey = relaxation_weight(times.t1_gm, times.t2_gm, tr, te)
    white = relaxation_weight(times.t1_wm, times.t2_wm, tr, te)
    return np.array([grey, white])
