"""The committed test data: complete, small, unchanged, and what the generator writes today."""

import gzip
import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "test_data"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("regenerate", FOLDER / "regenerate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def listed():
    lines = (FOLDER / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def generated(folder, script):
    return {
        p.relative_to(folder).as_posix(): p for n in script.trials() for p in (folder / n).rglob("*") if p.is_file()
    }


def test_files_are_those_listed_and_unchanged(script):
    found = {name: hashlib.sha256(p.read_bytes()).hexdigest() for name, p in generated(FOLDER, script).items()}
    assert found == listed()


def test_they_are_small(script):
    assert sum(p.stat().st_size for p in generated(FOLDER, script).values()) < 3e6


def numbers(path):
    """Return the numbers of a binary file in a form that two computers may differ in by the last digit."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
        kind = "<i2" if "T1w" in path.name else "<f4"
        return np.frombuffer(data[len(data) % 4 :], kind).astype(float)[-2048:]
    if path.suffix == ".SDAT":
        words = np.frombuffer(data[: len(data) // 4 * 4], "<u2").reshape(-1, 2)
        ieee = (words[:, 0].astype("<u4") << 16) | words[:, 1]
        return ieee.view("<f4") / 4.0
    if path.suffix == ".dcm":
        return np.frombuffer(data[-128:], "<i2").astype(float)
    kind = "<f8" if path.suffix == ".rda" else "<f4"
    return np.frombuffer(data[-8192:], kind).astype(float)


def same_text(a, b):
    fresh, kept = a.split(), b.split()
    assert len(fresh) == len(kept), "run test_data/regenerate.py"
    for x, y in zip(fresh, kept, strict=True):
        if x != y:
            assert float(x.strip(",")) == pytest.approx(float(y.strip(",")), rel=1e-5, abs=1e-9)


@pytest.mark.slow
def test_the_generator_writes_them_again(script, tmp_path):
    """Byte for byte on the CPU they were made on; within 1e-5 in every number elsewhere."""
    script.regenerate(tmp_path)
    fresh, kept = generated(tmp_path, script), generated(FOLDER, script)
    assert set(fresh) == set(kept)
    for name, path in fresh.items():
        if path.read_bytes() == kept[name].read_bytes() or name.endswith("files.tsv"):
            continue
        if path.suffix in {".tsv", ".toml", ".json", ".SPAR"}:
            same_text(path.read_text(), kept[name].read_text())
            continue
        a, b = numbers(path), numbers(kept[name])
        integer = path.suffix == ".dcm" or "T1w" in name
        np.testing.assert_allclose(a, b, rtol=0, atol=1.0 if integer else 1e-5 * np.nanmax(np.abs(b)), err_msg=name)
