r"""Equations from the ratio of two signals to a concentration.

Gasparovic 2006, doi:10.1002/mrm.20901; Near 2021, doi:10.1002/nbm.4257.

:math:`f_t` are tissue volume fractions (GM, WM, CSF; sum 1), :math:`d_t` water contents relative to pure water,
:math:`\phi_t = f_t d_t / \sum f d` the mole fractions of water, :math:`R` relaxation factors. :math:`S_m/S_w` is the
ratio of the signals per molecule at t = 0, so no proton numbers appear. Arrays may have a second axis, along which
inputs vary; results then have its length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrs_pipeline.spectrum import FloatArray

Values = float | FloatArray
"""A number, or an array of it over draws."""


@dataclass(frozen=True, eq=False)
class Compartments:
    """What the equations need to know of a voxel.

    Parameters
    ----------
    fractions
        Volume fractions of GM, WM, CSF, shape (3,), sum 1.
    content
        Water content relative to pure water, shape (3,).
    water
        Relaxation factors of water, shape (3,).
    metabolite
        Relaxation factors of the metabolite in GM and WM, shape (2,); metabolites are taken to be absent from CSF.
    """

    fractions: FloatArray
    content: FloatArray
    water: FloatArray
    metabolite: FloatArray


def mole_fractions(fractions: FloatArray, content: FloatArray) -> FloatArray:
    r"""Return :math:`\phi_t = f_t d_t / \sum f d`, shape (3,).

    Examples
    --------
    >>> mole_fractions(np.array([0.55, 0.30, 0.15]), np.array([0.78, 0.65, 0.97])).round(3)
    array([0.558, 0.253, 0.189])
    """
    moles = fractions * content
    return np.asarray(moles / moles.sum(axis=0), dtype=np.float64)


def metabolite_relaxation(voxel: Compartments, rule: str, alpha: Values = 1.0) -> Values:
    r"""Return :math:`R_m`, the relaxation factor of a metabolite whose signal comes from GM and WM.

    Parameters
    ----------
    rule
        ``"per-compartment"``: :math:`(f_G d_G R_G + \alpha f_W d_W R_W)/(f_G d_G + \alpha f_W d_W)`, the exact factor
        for equal molality (:math:`\alpha` = 1) or a white-to-grey ratio :math:`\alpha`; ``"mean-times"``: one factor
        (from the mean relaxation times of both tissues), which then stands in both places of ``voxel.metabolite``.
    """
    if rule == "mean-times":
        return np.asarray(voxel.metabolite[0])
    grey, white = (voxel.fractions * voxel.content)[:2]
    white = alpha * white
    whole = np.asarray(grey + white)
    share = np.divide(grey, whole, out=np.full_like(whole, 0.5), where=whole > 0)  # no tissue: the mean of both
    return np.asarray(share * voxel.metabolite[0] + (1 - share) * voxel.metabolite[1])


def molal_factor(voxel: Compartments, molality: Values, csf: str, rule: str, alpha: Values = 1.0) -> Values:
    r"""Return what multiplies :math:`S_m/S_w` to give mmol per kg of tissue water.

    Parameters
    ----------
    molality
        Of pure water, mmol/kg.
    csf
        ``"mole"`` divides by :math:`1-\phi_{CSF}`, which is right; ``"volume"`` by :math:`1-f_{CSF}`, as some tools do.

    Notes
    -----
    :math:`b = \frac{S_m}{S_w}\, m_{H_2O}\, \frac{\sum \phi_t R_t}{(1-\phi_{CSF})\,R_m}` (Gasparovic 2006,
    doi:10.1002/mrm.20901).
    """
    phi = mole_fractions(voxel.fractions, voxel.content)
    tissue = 1.0 - (phi[2] if csf == "mole" else voxel.fractions[2])
    scale: Values = molality * (phi * voxel.water).sum(axis=0) / (tissue * metabolite_relaxation(voxel, rule, alpha))
    return scale


def water_scaled_factor(voxel: Compartments, molarity: Values, rule: str, alpha: Values = 1.0) -> Values:
    r"""Return what multiplies :math:`S_m/S_w` to give mmol per litre of the whole voxel, CSF included.

    Notes
    -----
    :math:`\frac{S_m}{S_w}\, M_{H_2O}\, \frac{\sum f_t d_t R_t}{R_m}`: the common part of the molar value, the
    CSF-only and the alpha correction. :math:`M` is the molarity of pure water, mmol/L.
    """
    moles = voxel.fractions * voxel.content
    scale: Values = molarity * (moles * voxel.water).sum(axis=0) / metabolite_relaxation(voxel, rule, alpha)
    return scale


def molar_factor(voxel: Compartments, molarity: Values, rule: str, alpha: Values = 1.0) -> Values:
    r"""Return what multiplies :math:`S_m/S_w` to give mmol per litre of tissue, CSF taken out."""
    scale: Values = water_scaled_factor(voxel, molarity, rule, alpha) / (1.0 - voxel.fractions[2])
    return scale


def alpha_factor(
    voxel: Compartments, molarity: Values, rule: str, alpha: Values, means: tuple[Values, Values] | None = None
) -> Values:
    r"""Return what multiplies :math:`S_m/S_w` in the alpha correction (Harris 2015, doi:10.1002/jmri.24903).

    Parameters
    ----------
    alpha
        White-to-grey concentration ratio.
    means
        Fixed group means of :math:`f_G` and :math:`f_W` for the group-normalised form; ``None`` gives the concentration
        of grey matter.

    Notes
    -----
    :math:`c_\alpha = c_{voxel}/(f_G + \alpha f_W)`, group-normalised
    :math:`c_\alpha\,(\mu_G + \alpha\mu_W)/(\mu_G + \mu_W)`.
    """
    grey_like = voxel.fractions[0] + alpha * voxel.fractions[1]
    normal = 1.0 if means is None else (means[0] + alpha * means[1]) / (means[0] + means[1])
    scale: Values = water_scaled_factor(voxel, molarity, rule, alpha) * normal / grey_like
    return scale
