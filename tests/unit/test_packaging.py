"""The package as users get it: importable from a wheel, pinned, permissively licensed."""

import json
import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import distribution, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]

ALLOWED = re.compile(
    r"BSD|MIT|Apache|MPL|Mozilla|PSF|Python Software Foundation|ISC|HPND|CNRI|zlib|Unlicense|0BSD|Public Domain|CC0",
    re.IGNORECASE,
)
FORBIDDEN = re.compile(r"GPL|Affero|non-?commercial|CC-BY-NC|Proprietary", re.IGNORECASE)


def runtime_closure():
    """Names of everything a plain install brings."""
    todo, seen = ["mrs-pipeline"], set()
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        for text in requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                todo.append(requirement.name)
    return sorted(seen - {"mrs-pipeline"})


def licence_of(name):
    meta = distribution(name).metadata
    classifiers = [c for c in meta.get_all("Classifier", []) if c.startswith("License ::")]
    stated = meta.get("License-Expression") or meta.get("License") or ""
    return " | ".join([*classifiers, stated.strip().splitlines()[0] if stated.strip() else ""])


KNOWN_BY_READING = {
    # the metadata states none, or only part; the licence file that travels with the package was read
    "dcm2niix": "BSD (dcm2niix), MIT (miniz, ujpeg), Apache-2.0 and public domain parts",
    "fslpy": "Apache-2.0",
}


@pytest.mark.parametrize("name", runtime_closure())
def test_runtime_dependencies_are_permissive(name):
    text = KNOWN_BY_READING.get(name) or licence_of(name)
    assert ALLOWED.search(text), f"{name}: licence '{text}' is not on the allow-list"
    assert not FORBIDDEN.search(text), f"{name}: licence '{text}'"


def test_every_runtime_dependency_is_pinned():
    pinned = {
        re.sub(r"[-_.]+", "-", line.split("==")[0]).lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    missing = [name for name in runtime_closure() if name not in pinned and name not in {"pip", "setuptools", "wheel"}]
    assert not missing


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-cache-dir",
        "-w",
        str(out),
        str(ROOT),
    ]
    subprocess.run(command, check=True, env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    return next(out.glob("*.whl"))


def test_a_wheel_carries_every_room_and_the_workflows(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {
        f"mrs_pipeline/{p.relative_to(ROOT / 'mrs_pipeline').as_posix()}" for p in (ROOT / "mrs_pipeline").rglob("*.py")
    }
    sources |= {f"mrs_pipeline/workflows/{p.name}" for p in (ROOT / "workflows").glob("*.py")}
    data = {
        f"mrs_pipeline/{p.relative_to(ROOT / 'mrs_pipeline').as_posix()}"
        for p in (ROOT / "mrs_pipeline").rglob("*")
        if p.suffix in {".toml", ".json", ".html", ".css", ".js", ".csv", ".sh"}
    }
    assert sources - names == set()
    assert data - names == set()


def test_workflows_import_from_the_wheel_and_from_the_editable_install(wheel, tmp_path):
    code = (
        "import json, mrs_pipeline.workflows.scan as s, mrs_pipeline.config as c;"
        "print(json.dumps([s.__file__, c.preset_names('relaxation')]))"
    )
    unpacked = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(unpacked)
    for path, expected in ((str(unpacked), unpacked), (None, ROOT)):
        env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | ({"PYTHONPATH": path} if path else {})
        out = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path, env=env
        ).stdout
        file, presets = json.loads(out)
        assert Path(file).is_relative_to(expected)
        assert "default" in presets
