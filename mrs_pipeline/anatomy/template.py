"""The bundled MNI152 maps: registration target and tissue priors.

ICBM 2009a nonlinear symmetric, as nilearn ships them (Fonov 2011, doi:10.1016/j.neuroimage.2010.07.033). Copyright
1993-2004 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill University; the
notice travels with what is made from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
PAD = 10


@dataclass(frozen=True, eq=False)
class Template:
    """The MNI152 brain on one grid, RAS axes.

    Parameters
    ----------
    t1
        T1w intensity, 0 to 1, zero outside the brain, shape (x, y, z).
    gm, wm, csf
        Tissue shares; CSF is what the brain mask leaves, so it keeps the outer CSF of the average brain.
    brain
        Brain mask, 0 to 1.
    near
        Brain and the dark ring of CSF and skull around it (10 mm): where a whole head resembles the brain-only
        template.
    deep
        Thalamus and lentiform nucleus, where grey matter is close to white on a T1w, 0 to 1.
    ventricles
        Lateral and third ventricles, 0 to 1.
    affine
        Voxel indices to MNI mm, shape (4, 4).
    spacing
        Voxel size in mm.
    """

    t1: Float32
    gm: Float32
    wm: Float32
    csf: Float32
    brain: Float32
    near: npt.NDArray[np.bool_]
    deep: Float32
    ventricles: Float32
    affine: npt.NDArray[np.float64]
    spacing: float


@lru_cache(maxsize=2)
def template(spacing: int = 2) -> Template:
    """Return the template at 1 or 2 mm, with a margin around the brain.

    Parameters
    ----------
    spacing
        Voxel size in mm; the maps are averaged in blocks of that size.
    """
    from nilearn import datasets
    from scipy import ndimage

    image = datasets.load_mni152_template(resolution=1)
    t1 = image.get_fdata(dtype=np.float32)
    maps = {
        "t1": t1 / float(t1.max()),
        "gm": datasets.load_mni152_gm_template(resolution=1).get_fdata(dtype=np.float32),
        "wm": datasets.load_mni152_wm_template(resolution=1).get_fdata(dtype=np.float32),
        "brain": (t1 > 0).astype(np.float32),
    }
    small = {name: np.pad(_blocks(values, spacing), PAD) for name, values in maps.items()}
    total = np.maximum(small["gm"] + small["wm"], 1.0)
    gm, wm = small["gm"] / total * small["brain"], small["wm"] / total * small["brain"]
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = image.affine[:3, 3] + (spacing - 1) / 2 - PAD * spacing
    distance = ndimage.distance_transform_edt(small["brain"] < 0.5) * spacing
    return Template(
        t1=small["t1"],
        gm=gm,
        wm=wm,
        csf=np.clip(small["brain"] - gm - wm, 0, 1),
        brain=small["brain"],
        near=distance < 10.0,
        deep=_deep_grey(gm, wm, affine),
        ventricles=_ventricles(1 - gm - wm, affine),
        affine=affine,
        spacing=float(spacing),
    )


def _mm(shape: tuple[int, ...], affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """MNI coordinates of every voxel, shape (3, x, y, z); the affine is diagonal."""
    axes = [np.arange(n) * affine[i, i] + affine[i, 3] for i, n in enumerate(shape)]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def _deep_grey(gm: Float32, wm: Float32, affine: npt.NDArray[np.float64]) -> Float32:
    """Mark deep grey matter: template grey matter inside boxes around thalamus and lentiform nucleus."""
    from scipy import ndimage

    x, y, z = _mm(gm.shape, affine)
    side = np.abs(x)
    thalamus = (side < 26) & (y > -38) & (y < 0) & (z > -10) & (z < 20)
    lentiform = (side > 8) & (side < 34) & (y > -22) & (y < 20) & (z > -12) & (z < 16)
    inside = (thalamus | lentiform) & (gm > 0.05) & (gm + wm > 0.7)
    return np.asarray(ndimage.gaussian_filter(inside.astype(np.float32), 1.0 / affine[0, 0]), dtype=np.float32)


def _ventricles(csf: Float32, affine: npt.NDArray[np.float64]) -> Float32:
    """Mark the ventricles: the largest connected CSF inside a central box."""
    from scipy import ndimage

    x, y, z = _mm(csf.shape, affine)
    central = (np.abs(x) < 27) & (y > -48) & (y < 34) & (z > -6) & (z < 28)
    labels, _ = ndimage.label((csf > 0.5) & central)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == int(np.argmax(sizes)), dtype=np.float32)


def _blocks(values: Float32, n: int) -> Float32:
    """Average cubes of n voxels; an incomplete last layer is dropped."""
    if n == 1:
        return values
    x, y, z = (size // n for size in values.shape)
    cut = values[: x * n, : y * n, : z * n].reshape(x, n, y, n, z, n)
    return np.asarray(cut.mean(axis=(1, 3, 5)), dtype=np.float32)
