"""Metrics in words: what desc-qc_mrs.json calls by a short name is called the same everywhere, with its unit."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

METRICS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "snr_tcr": ("SNR of tCr", ""),
        "snr_naa": ("SNR of NAA", ""),
        "snr_spectral": ("SNR of the tallest peak", ""),
        "snr_water": ("SNR of water", ""),
        "noise_sd": ("noise SD", "scanner units"),
        "fwhm_hz": ("linewidth", "Hz"),
        "fwhm_ppm": ("linewidth", "ppm"),
        "fwhm_tcr_hz": ("linewidth of tCr", "Hz"),
        "fwhm_naa_hz": ("linewidth of NAA", "Hz"),
        "fwhm_water_hz": ("linewidth of water", "Hz"),
        "fwhm_water_ppm": ("linewidth of water", "ppm"),
        "residual_water_before": ("residual water over NAA, as acquired", ""),
        "residual_water": ("residual water over NAA, after removal", ""),
        "lipid_ratio": ("lipid over NAA", ""),
        "baseline_asymmetry": ("asymmetry of the baseline over NAA", ""),
        "spurious_echo": ("spurious echo over noise", ""),
        "share_kept": ("share of transients kept", ""),
        "drift_hz_sd": ("SD of the frequency drift", "Hz"),
        "drift_hz_range": ("range of the frequency drift", "Hz"),
        "drift_hz_slope": ("slope of the frequency drift", "Hz per 100 transients"),
        "drift_deg_sd": ("SD of the phase drift", "degrees"),
        "reference_shift_ppm": ("shift corrected by the frequency reference", "ppm"),
        "reference_z": ("NAA, tCr and tCho together over their SD", ""),
        "reference_coherence": ("agreement of the phases of NAA, tCr and tCho", ""),
        "phase_deg": ("zero-order phase corrected", "degrees"),
        "fit_status": ("state of the fit", ""),
        "fit_snr": ("SNR of the fit", ""),
        "fit_fwhm_hz": ("linewidth of the fit", "Hz"),
        "fit_fqn": ("fit quality number", ""),
        "fit_baseline_dimensions": ("baseline dimensions", "per ppm"),
        "water_over_tcr": ("water over tCr", "molecules"),
        "voxel_inside": ("share of the voxel in brain or CSF", ""),
        "voxel_outside_head": ("share of the voxel outside the head", ""),
        "voxel_skull_mm": ("distance of the voxel from the edge of the brain", "mm"),
        "voxel_ventricle_mm": ("distance of the voxel from the ventricles", "mm"),
        "voxel_deep_grey": ("share of the voxel in deep grey matter", ""),
        "voxel_name": ("region of the voxel", ""),
        "visit_dice": ("voxel overlap with the first visit (Dice)", ""),
        "visit_distance_mm": ("distance of the voxel from the first visit's", "mm"),
        "visit_angle_deg": ("rotation of the voxel from the first visit's", "degrees"),
        "protocol_deviations": ("deviations from the protocol", ""),
    }
)
"""Label and unit of every metric, by its name in desc-qc_mrs.json (definitions: docs/quality.md)."""


def metric_title(name: str) -> str:
    """Return a metric's name in words.

    Examples
    --------
    >>> metric_title("snr_tcr"), metric_title("of_a_plugin")
    ('SNR of tCr', 'of a plugin')
    """
    return METRICS[name][0] if name in METRICS else name.replace("_", " ")


def metric_unit(name: str) -> str:
    """Return a metric's unit, empty for shares, ratios and counts."""
    return METRICS[name][1] if name in METRICS else ""
