"""Reading basis sets, whatever their format."""

from __future__ import annotations

from pathlib import Path

from mrs_pipeline.basis.model import Basis
from mrs_pipeline.errors import BasisError


def load_basis(path: str | Path) -> Basis:
    """Read a basis set and bring it to the package's convention and unit.

    Parameters
    ----------
    path
        An LCModel ``.basis`` file.

    Returns
    -------
    Basis
        Carrier at 4.65 ppm, first point not halved, no reference line, the 3.027 ppm line of Cr at 3 protons; what was found and
        corrected stands in ``notes``, the factor in ``scale``.

    Raises
    ------
    BasisError
        The file is missing, unreadable, empty or of no known format.
    """
    from mrs_pipeline.basis.lcmodel import read_lcmodel
    from mrs_pipeline.basis.normalise import normalise

    path = Path(path)
    if not path.exists():
        raise BasisError("no such file", remedy="check the path of [basis] source", path=path)
    return normalise(read_lcmodel(path))
