"""Scan reports with known content, shared by the unit and the browser tests of the report room."""

from __future__ import annotations

import numpy as np

from mrs_pipeline.report import (
    AgreementView,
    ErrorView,
    FiredRule,
    FitView,
    Identity,
    Metric,
    ProtocolCheck,
    Reference,
    ScanReport,
    StepPair,
    StepView,
    TissueView,
    TransientsView,
    VerdictView,
    VisitView,
    VoxelView,
)

LINES = {
    "NAA": ((2.008, 3.0), (2.6, 0.6)),
    "Cr": ((3.027, 1.6), (3.91, 1.0)),
    "PCr": ((3.029, 1.2), (3.93, 0.8)),
    "GPC": ((3.21, 1.2),),
    "Ins": ((3.52, 0.9), (3.61, 0.8), (3.27, 0.2)),
    "Glu": ((2.35, 0.7), (2.08, 0.3), (3.75, 0.6)),
    "Gln": ((2.44, 0.3), (3.77, 0.2)),
    "MM09": ((0.91, 0.8),),
    "MM20": ((2.04, 0.9),),
}


def lines(ppm, name, width=0.035):
    wide = 4 * width if name.startswith("MM") else width
    return sum(height / (1 + ((ppm - shift) / wide) ** 2) for shift, height in LINES[name]).astype(complex)


def fit_view(seed=1, noise=0.03, **changes):
    rng = np.random.default_rng(seed)
    ppm = np.linspace(0.5, 4.2, 474)
    components = {name: lines(ppm, name) for name in LINES}
    baseline = (0.3 + 0.1 * np.cos(2 * ppm)).astype(complex)
    model = sum(components.values()) + baseline
    residual = noise * (rng.standard_normal(ppm.size) + 1j * rng.standard_normal(ppm.size))
    values = {
        "ppm": ppm,
        "data": model + residual,
        "model": model,
        "baseline": baseline,
        "residual": residual,
        "components": components,
        "noise_sd": noise,
    }
    return FitView(**(values | changes))


def concentration_rows():
    values = {"tNAA": 1.42, "tCr": 1.0, "tCho": 0.29, "mI": 0.71, "Glu": 1.21, "Gln": 0.31, "Glx": 1.52}
    return tuple(
        {
            "metabolite": name,
            "amplitude": 8.0 * ratio,
            "crlb": 0.24 * ratio**0.5,
            "amplitude_sd": 0.3,
            "total_sd": 0.5,
            "ratio_tCr": ratio,
            "ratio_tCr_sd": 0.04,
            "ratio_tCr_lo": ratio - 0.08,
            "ratio_tCr_hi": ratio + 0.08,
            "molal": 8.3 * ratio,
            "molal_sd": 0.4,
            "molar": None,
            "molar_sd": None,
            "status": "doubtful" if name == "Gln" else "ok",
            "flags": "at-bound" if name == "Gln" else "",
            "reason": "no water density" if name == "Gln" else "n/a",
        }
        for name, ratio in values.items()
    )


def transients_view(n=32, seed=3):
    rng = np.random.default_rng(seed)
    ppm = np.linspace(0.2, 4.2, 200)
    drift = np.linspace(-3, 3, n)
    clean = sum(lines(ppm, name) for name in LINES)
    before = np.array([np.interp(ppm + hz / 123.2, ppm, clean.real) for hz in drift]) + 0.1 * rng.standard_normal(
        (n, 200)
    )
    after = np.tile(clean.real, (n, 1)) + 0.1 * rng.standard_normal((n, 200))
    kept = np.ones(n, dtype=bool)
    kept[[7, 20]] = False
    return TransientsView(
        kept=kept,
        drift_hz=np.where(kept, drift, np.nan),
        drift_deg=np.where(kept, 5 * np.sin(drift), np.nan),
        ppm=ppm,
        before=before,
        after=after,
    )


def head(shape=(60, 72, 60), spacing=3.0):
    """An ellipsoid with a bright ball on the participant's left (negative x)."""
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = [-(size - 1) / 2 * spacing for size in shape]
    grid = np.stack(np.meshgrid(*(np.arange(size) for size in shape), indexing="ij"), axis=-1)
    world = grid * spacing + affine[:3, 3]
    image = 60.0 * (np.sum((world / [70, 85, 70]) ** 2, axis=-1) < 1)
    image[np.sum((world - [-40, 0, 0]) ** 2, axis=-1) < 15**2] = 120.0
    return image, affine


def voxel_view():
    image, affine = head()
    voxel = np.diag([30.0, 25.0, 20.0, 1.0])
    turn = np.deg2rad(20)
    rotation = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    voxel[:3, :3] = rotation @ voxel[:3, :3]
    voxel[:3, 3] = [-20.0, 10.0, 15.0]
    return VoxelView(t1w=image, t1w_affine=affine, voxel_affine=voxel)


def agreement_rows():
    columns = ("metabolite", "ratio_tCr", "ratio_tCr_sd", "lcmodel_tCr", "lcmodel_sd_percent", "difference")
    rows = (("tNAA", 1.31, 0.03, 1.30, 3.0, -0.01), ("GSH", 0.21, 0.04, 0.52, 6.0, 0.31))
    more = ({"difference_percent": -0.8, "apart": "false"}, {"difference_percent": 148.0, "apart": "true"})
    return tuple(dict(zip(columns, row, strict=True)) | extra for row, extra in zip(rows, more, strict=True))


def good_report(**changes):
    fit = fit_view()
    pair_ppm = np.linspace(0.2, 5.0, 300)
    water = 20 / (1 + ((pair_ppm - 4.65) / 0.06) ** 2)
    spectrum = sum(lines(pair_ppm, name) for name in LINES)
    values = {
        "identity": Identity("sub-01", session="baseline", voi="acc", acq="press", study="trial"),
        "verdict": VerdictView("pass", not_checked=("residual water over NAA is not available for this scan",)),
        "protocol": (
            ProtocolCheck("echo time", 0.03, 0.03, within=True, unit="s"),
            ProtocolCheck("manufacturer", "Philips", None, within=None),
        ),
        "fit": fit,
        "concentrations": concentration_rows(),
        "agreement": AgreementView("LCModel (Version 6.3-1R)", agreement_rows(), {"FWHM (ppm)": 0.045}),
        "metrics": (
            Metric("SNR", 43.7, "", "at least 20", "height of NAA over noise SD", "pass", key=True),
            Metric(
                "linewidth", 5.6, "Hz", "at most 10", "full width at half maximum of the tCr singlet", "pass", key=True
            ),
            Metric("fit quality number", 1.08, "", "at most 2", "residual variance over noise variance", "pass"),
        ),
        "steps": (
            StepView("coil combination", applied=False, reason="the data have one channel"),
            StepView("residual-water removal", applied=True, reason="always", parameters={"components": 20}),
        ),
        "pairs": (StepPair("residual-water removal", pair_ppm, spectrum + water, spectrum),),
        "transients": transients_view(),
        "voxel": voxel_view(),
        "tissue": TissueView(0.52, 0.36, 0.12, sd=0.02, source="segmented T1w"),
        "visits": (
            VisitView(
                "week12",
                overlap_dice=0.87,
                shift_mm=2.4,
                changes=({"metabolite": "Glu", "unit": "mmol/kg", "change": -0.4, "minimal_detectable_change": 0.9},),
                angle_deg=3.1,
                tissue_change=(-0.03, 0.02, 0.01),
            ),
        ),
        "basis": {"source": "simulated PRESS", "echo time (s)": 0.03},
        "quantification": {"water T1 GM (s)": 1.331},
        "provenance": {"mrs-pipeline": "0.1.0", "settings hash": "abc123"},
        "methods": ("Spectra were fitted by linear combination.", "Water was removed by HLSVD."),
        "references": (Reference("Near 2021, preprocessing consensus.", "10.1002/nbm.4257"),),
    }
    return ScanReport(**(values | changes))


def bad_report():
    rule = FiredRule(
        "linewidth", "fail", "the lines are too broad to separate Glu from Gln", value=14.2, limit=10.0, unit="Hz"
    )
    fit = fit_view(
        seed=5, noise=0.4, status="doubtful", flags=("phi0_at_bound",), notes=("phi0 stopped at its limit (0.79)",)
    )
    return good_report(
        verdict=VerdictView("fail", fired=(rule,)),
        fit=fit,
        protocol=(ProtocolCheck("echo time", 0.03, 0.035, within=False, unit="s"),),
        warnings=("no T1w: tissue fractions come from the table",),
        voxel=None,
        transients=None,
    )


def failed_report():
    error = ErrorView(
        stage="fit",
        problem="the spectrum looks mirrored about water",
        remedy="convert it again with --conjugate",
        file="sub-02/ses-baseline/mrs/sub-02_ses-baseline_voi-acc_svs.nii.gz",
        details='Traceback (most recent call last):\n  File "fit.py", line 3 <b>bold</b>',
    )
    return ScanReport(identity=Identity("sub-02", session="baseline", voi="acc"), errors=(error,))
