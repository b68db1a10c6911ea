"""A stand-in for LCModel: reads control, RAW and basis as LCModel 6.3 does, fits, and prints a .table in its layout.

It shares no code with the package. The fit is a least-squares one with a common Lorentzian width, without a baseline.
Environment variable STAND_IN: ``silent`` (writes nothing), ``fatal`` (diagnostics only), ``crash`` (exit code 3).
"""

import os
import re
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

SUMS = ("GPC+PCh", "NAA+NAAG", "Cr+PCr", "Glu+Gln")


def namelist(text, name):
    """Entries of a namelist, keys in upper case."""
    body = re.search(rf"\${name}\b(.*?)\$END", text, re.DOTALL | re.IGNORECASE)[1]
    pairs = re.findall(r"(\w+)\s*=\s*('[^']*'|[^,\n]*)", body)
    return {key.upper(): value.strip().strip("'").strip() for key, value in pairs}


def numbers(text, count, width):
    """The first numbers of a text in fixed columns, as complex pairs."""
    flat = "".join(line.rstrip("\r") for line in text.lstrip("\n").splitlines())
    found = [float(flat[k : k + width]) for k in range(0, width * 2 * count, width)]
    return np.array(found[0::2]) + 1j * np.array(found[1::2])


def column_width(fortran_format):
    return int(re.search(r"E(\d+)", fortran_format)[1])


def read_raw(path, count):
    text = Path(path).read_text()
    entries = namelist(text, "NMID")
    body = text[text.index("$END", text.index("$NMID")) + 5 :]
    return numbers(body, count, column_width(entries["FMTDAT"])) * float(entries["TRAMP"]) / float(entries["VOLUME"])


def read_basis(path):
    text = Path(path).read_text()
    head = namelist(text, "BASIS1")
    assert float(namelist(text, "SEQPAR")["FWHMBA"]) > 0
    width, count = column_width(head["FMTBAS"]), int(head["NDATAB"])
    spectra = {}
    for block in re.split(r"\$NMUSED", text)[1:]:
        entries = namelist(block, "BASIS")
        assert len(entries["METABO"]) <= 6
        shift = int(entries["ISHIFT"])
        spectrum = numbers(block[block.index("$END", block.index("$BASIS")) + 5 :], count, width)
        spectra[entries["METABO"]] = np.roll(spectrum, -shift) * float(entries["TRAMP"]) / float(entries["CONC"])
    return head, spectra


def fit(control):
    """Concentrations and their SDs, by name."""
    count, dwell, mhz = int(control["NUNFIL"]), float(control["DELTAT"]), float(control["HZPPPM"])
    head, spectra = read_basis(control["FILBAS"])
    assert abs(float(head["BADELT"]) / dwell - 1) < 1e-4
    assert int(head["NDATAB"]) == 2 * count
    data = read_raw(control["FILRAW"], count)
    data[0] /= 2
    time = np.arange(count) * dwell
    ppm = 4.65 - np.fft.fftfreq(2 * count, dwell) / mhz
    window = (ppm < 4.0) & (ppm > 0.2)
    target = np.fft.fft(data, 2 * count)[window]
    names = list(spectra)
    fids = np.array([np.fft.ifft(spectra[name])[:count] for name in names])
    best = None
    for width in np.arange(0.0, 12.1, 1.0):
        design = np.fft.fft(fids * np.exp(-np.pi * width * time), 2 * count, axis=1)[:, window]
        stacked = np.concatenate([design.real, design.imag], axis=1)
        amplitudes, left = nnls(stacked.T, np.concatenate([target.real, target.imag]))
        if best is None or left < best[0]:
            best = left, amplitudes, stacked, width
    left, amplitudes, stacked, width = best
    used = amplitudes > 0
    sd = np.zeros(len(names))
    covariance = np.linalg.pinv(stacked[used] @ stacked[used].T) * left**2 / stacked.shape[1]
    sd[used] = np.sqrt(np.diag(covariance))
    return dict(zip(names, amplitudes, strict=True)), dict(zip(names, sd, strict=True)), width / mhz


def entry(value, digits):
    """A number as LCModel's EFORM decides: exponential outside 0.0995 to 999.999."""
    if value and not 0.0995 <= abs(value) <= 999.999:
        return f"{value:8.{digits}E}"
    return f"{value:8.3f}"


def table_rows(found, sd):
    sums = {label: label.split("+") for label in SUMS if all(part in found for part in label.split("+"))}
    everything = {name: [name] for name in found} | sums
    reference = sum(found[part] for part in ("Cr", "PCr"))
    rows = ["   Conc.  %SD /Cr+PCr  Metabolite"]
    for label, parts in everything.items():
        value = sum(found[part] for part in parts)
        per_cent = min(999, round(100 * sum(sd[part] for part in parts) / value)) if value > 0 else 999
        mark = "+" if label == "Gly" else " "
        rows.append(f"{entry(value, 2)}{per_cent:4d}%{entry(value / reference, 1)}{mark}{label}")
    return rows


def main():
    mode = os.environ.get("STAND_IN", "")
    if mode == "crash":
        sys.exit(3)
    text = sys.stdin.read()
    control = namelist(text, "LCMODL")
    assert control["KEY"] == "210387309"
    assert (control["LTABLE"], control["DOECC"], control["LPS"]) == ("7", "F", "0")
    if control["DOWS"] == "T":
        water = read_raw(control["FILH2O"], int(control["NUNFIL"]))
        assert abs(water[0]) > 0
    if mode == "silent":
        return
    lines = [" LCModel (Version 6.3-1R)", "  ", ""]
    if mode != "fatal":
        found, sd, width = fit(control)
        rows = table_rows(found, sd)
        lines += [f"$$CONC{len(rows):3d} lines in following concentration table = NCONC+1"]
        lines += [f" {row:48}" for row in rows]
        misc = [f" FWHM ={width:6.3f} ppm    S/N =  21", " Data shift = 0.008 ppm", " Ph:  -9 deg      -2.2 deg/ppm"]
        lines += ["", f"$$MISC{len(misc):3d} lines in following misc. output table", *(f" {row}" for row in misc)]
    lines += [
        "",
        "$$DIAG  1 lines in following diagnostic table:",
        "   1 FATAL     MYBASI  4" if mode == "fatal" else "   1 info      FINOUT  9",
    ]
    changes = [line.strip() for line in text.splitlines()[1:-1]]
    lines += [
        "",
        f"$$INPU{len(changes):3d} lines in following table of input changes:",
        *(f" {row}" for row in changes),
    ]
    Path(control["FILTAB"]).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
