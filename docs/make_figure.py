"""Draw docs/images/fit.png, the README's figure: a real spectrum (../shared/data) through the pipeline's own rooms."""

from __future__ import annotations

import argparse
from pathlib import Path

from mrs_pipeline.fit import read_fit
from mrs_pipeline.report.figures import fit_figure

TARGET = Path(__file__).parent / "images" / "fit.png"


def main() -> None:
    """Draw the fit of one scan of a derivatives folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fit", type=Path, help="a *_desc-fit_mrs.json")
    path = parser.parse_args().fit
    fit = read_fit(path, path.with_name(path.name.replace("_desc-fit_mrs.json", "_desc-fit_svs.nii.gz")))
    figure = fit_figure(fit.ppm, fit.data, fit.model, fit.baseline, fit.residual, fit.noise_sd)
    TARGET.parent.mkdir(exist_ok=True)
    figure.savefig(TARGET, dpi=150)


if __name__ == "__main__":
    main()
