"""FSL-MRS on one folder, run by the interpreter that has it: ``PYTHON benchmarks/peers_fslmrs.py FOLDER``.

FOLDER holds ``data.raw``, ``basis.basis`` (LCModel's formats) and ``control``, which states the dwell time. It writes
``peer.csv`` (name, amplitude, crlb) and ``seconds.txt`` into it. Defaults of its script: Newton, 0.2-4.2 ppm, quadratic
baseline, Voigt lines; its default macromolecule peaks as ``basis_tools add_set --add_MM`` makes them, in one group (its
authors advise a group each, which did worse on both panels it was tried on). A member ``MM`` takes their place.
"""

import csv
import re
import sys
import time
from pathlib import Path

import numpy as np
from fsl_mrs.core import MRS
from fsl_mrs.utils import fitting, misc
from fsl_mrs.utils.basis_tools import rescale_basis
from fsl_mrs.utils.mrs_io import lcm_io

SUMS = {"tNAA": ("NAA", "NAAG"), "tCr": ("Cr", "PCr"), "tCho": ("GPC", "PCh"), "Glx": ("Glu", "Gln")}
MM_GAMMA, MM_SIGMA = 40, 30  # defaults of `basis_tools add_set --add_MM`


def main(folder: Path) -> None:
    """Fit and write the table."""
    fid, header = lcm_io.readLCModelRaw(folder / "data.raw")
    basis = lcm_io.readLCModelBasis(folder / "basis.basis")
    dwell = float(re.search(r"DELTAT\s*=\s*([0-9.eE+-]+)", (folder / "control").read_text())[1])
    groups = ["MM"]
    if "MM" not in basis.names:
        size = np.linalg.norm(np.mean(basis.original_basis_array, axis=1), axis=0)
        groups = basis.add_default_MM_peaks(MM_GAMMA, MM_SIGMA, conj=False)
        for name in groups:
            basis = rescale_basis(basis, name, target_scale=size)
    mrs = MRS(FID=fid, cf=header["centralFrequency"], bw=1 / dwell, nucleus="1H", basis=basis)
    mrs.check_FID(repair=True)
    mrs.check_Basis(repair=True)
    mrs.rescaleForFitting()
    begin = time.process_time()
    fit = fitting.fit_FSLModel(
        mrs,
        method="Newton",
        ppmlim=(0.2, 4.2),
        baseline="poly, 2",
        metab_groups=misc.parse_metab_groups(mrs, ["+".join(groups)]),
        model="voigt",
    )
    seconds = time.process_time() - begin
    names = {name: name for name in fit.original_metabs}
    sums = {label: parts for label, parts in SUMS.items() if all(part in names for part in parts)}
    fit.combine([list(parts) for parts in sums.values()])
    names |= {label: "+".join(parts) for label, parts in sums.items()}
    amplitude = dict(zip(fit.metabs, np.ravel(fit.getConc(scaling="raw")), strict=True))
    sd = dict(zip(fit.metabs, fit.getUncertainties(type="raw"), strict=True))
    with (folder / "peer.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("name", "amplitude", "crlb"))
        writer.writerows((label, float(amplitude[name]), float(sd[name])) for label, name in names.items())
    (folder / "seconds.txt").write_text(f"{seconds}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
