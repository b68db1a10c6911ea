"""Nipype interfaces of the report room: files of a scan to its page and its status."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nipype.interfaces.base import File, TraitedSpec, isdefined, traits

from mrs_pipeline.errors import InputError
from mrs_pipeline.interfaces.base import MrsInterface

if TYPE_CHECKING:
    from mrs_pipeline.report import (
        AgreementView,
        EditedView,
        ErrorView,
        FitView,
        Identity,
        Metric,
        PosteriorView,
        ProtocolCheck,
        ScanReport,
        TissueView,
        VerdictView,
        VisitView,
        VoxelView,
    )

KEY_METRICS = ("snr_tcr", "fwhm_ppm", "residual_water_before", "fwhm_water_hz", "fit_fqn")
CHANGES = ("tNAA", "tCho", "mI", "Glu", "Glx")
"""Metabolites whose change between visits the report shows."""


class ReportInput(TraitedSpec):
    """All files of a scan."""

    identity = traits.Str(mandatory=True, desc="entities of the scan as JSON")
    raw_svs = File(exists=True, mandatory=True)
    preproc_record = File(exists=True, mandatory=True)
    evidence = File(exists=True, mandatory=True)
    basis_record = File(exists=True, mandatory=True)
    fit = File(exists=True, mandatory=True)
    fit_svs = File(exists=True, mandatory=True)
    tissue = File(exists=True, mandatory=True)
    concentrations = File(exists=True, mandatory=True)
    quantify_record = File(exists=True, mandatory=True)
    qc = File(exists=True, mandatory=True)
    t1w = File(exists=True)
    overlap = File(exists=True)
    difference_fit = traits.Str("", usedefault=True, desc="fit of the difference of an edited scan; empty without one")
    difference_fit_svs = traits.Str("", usedefault=True)
    difference_concentrations = traits.Str("", usedefault=True)
    difference_record = File(exists=True, desc="what was assumed about the difference, and why there is no fit of it")
    sum_fit = traits.Str("", usedefault=True, desc="fit of the sum of an edited scan; empty without one")
    sum_fit_svs = traits.Str("", usedefault=True)
    sum_concentrations = traits.Str("", usedefault=True)
    sum_record = File(exists=True, desc="the same of the sum")
    agreement = traits.Str("", usedefault=True, desc="table of a second engine; empty without a result")
    agreement_record = File(exists=True, desc="what the second engine says of its fit")
    baseline_concentrations = File(exists=True, desc="concentrations of the first visit of the same region")
    provenance = traits.Str("{}", usedefault=True, desc="sources, settings and versions as JSON")
    warnings = traits.List(traits.Str, desc="sentences from the index")
    methods = traits.List(traits.Str, desc="methods sentences of the graph")


class ReportOutput(TraitedSpec):
    """The page and the status."""

    report = File(exists=True)
    status = File(exists=True, desc="desc-status_mrs.json")


class Report(MrsInterface):
    """Write one scan's report and status."""

    input_spec = ReportInput
    output_spec = ReportOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        from mrs_pipeline.report import write_scan_report

        report = self._report()
        write_scan_report(report, cwd / "report.html")
        status = scan_status(
            json.loads(self.inputs.identity), _json(self.inputs.fit), _json(self.inputs.qc), report.warnings
        )
        status["provenance"] = json.loads(self.inputs.provenance)
        (cwd / "status.json").write_text(json.dumps(status, indent=2) + "\n", encoding="utf-8")
        return {"report": cwd / "report.html", "status": cwd / "status.json"}

    def _report(self) -> ScanReport:
        from mrs_pipeline.preprocess import load_evidence
        from mrs_pipeline.report import (
            ScanReport,
            StepView,
            pairs_from_evidence,
            transients_from_evidence,
        )

        record, qc = _json(self.inputs.preproc_record), _json(self.inputs.qc)
        basis, quantified, tissue = (
            _json(self.inputs.basis_record), _json(self.inputs.quantify_record), _json(self.inputs.tissue),
        )  # fmt: skip
        evidence = load_evidence(self.inputs.evidence)
        return ScanReport(
            identity=identity_view(self.inputs.identity),
            verdict=verdict_view(qc["verdict"]),
            protocol=protocol_views(qc["protocol"]),
            fit=self._fit_view(),
            concentrations=tuple(read_rows(self.inputs.concentrations)),
            posterior=posterior_view(_json(self.inputs.fit).get("posterior")),
            agreement=self._agreement(),
            difference=self._edited("difference"),
            sum=self._edited("sum"),
            metrics=metric_views(qc),
            steps=tuple(StepView(**step) for step in record["steps"]),
            pairs=pairs_from_evidence(
                evidence, [step["name"] for step in record["steps"] if step["applied"]], self._window()
            ),
            transients=transients_from_evidence(
                evidence, record["kept"], record["drift_hz"], record["drift_deg"], self._window()
            ),
            **self._primary(),
            voxel=self._voxel_view(),
            tissue=tissue_view(tissue),
            visits=self._visits(),
            basis=basis_facts(basis),
            quantification=quantification_facts(quantified) | placement_facts(tissue),
            provenance=provenance_facts(json.loads(self.inputs.provenance)),
            warnings=tuple(
                dict.fromkeys([
                    *self.inputs.warnings, *record["warnings"], *basis["warnings"], *tissue["warnings"],
                    *quantified["warnings"], *self._agreement_warnings(), *self._edited_warnings(),
                ])
            ),
            methods=tuple(self.inputs.methods),
        )  # fmt: skip

    def _visits(self) -> tuple[VisitView, ...]:
        """Return the baseline visit: overlap of the voxels and change of the primary metabolites."""
        from mrs_pipeline.report import VisitView

        overlap = _json(self.inputs.overlap) if isdefined(self.inputs.overlap) else {}
        if not overlap and not isdefined(self.inputs.baseline_concentrations):
            return ()
        changes: tuple[dict[str, object], ...] = ()
        if isdefined(self.inputs.baseline_concentrations):
            before = read_rows(self.inputs.baseline_concentrations)
            changes = visit_changes(before, read_rows(self.inputs.concentrations))
        session = overlap.get("session", "baseline")
        moved = overlap.get("tissue_change")
        return (
            VisitView(
                session,
                overlap.get("dice"),
                overlap.get("distance_mm"),
                changes,
                angle_deg=overlap.get("angle_deg"),
                tissue_change=None if moved is None else tuple(moved),
            ),
        )

    def _edited(self, kind: str) -> EditedView | None:
        """Return the difference or sum of an edited scan."""
        record, fit, svs, table = (
            getattr(self.inputs, f"{kind}_{name}") for name in ("record", "fit", "fit_svs", "concentrations")
        )
        if not isdefined(record):
            return None
        return edited_view(_json(record), fit_view(fit, svs) if fit else None, read_rows(table) if table else [])

    def _edited_warnings(self) -> list[str]:
        """Return what is to be known of difference and sum; what holds for both is said once."""
        paths = (self.inputs.difference_record, self.inputs.sum_record)
        records = [_json(path) for path in paths if isdefined(path)]
        kinds: dict[str, list[str]] = {}
        for record in records:
            for text in record["warnings"]:
                kinds.setdefault(text, []).append(record["kind"])
        said = [f"{' and '.join(dict.fromkeys(names))}: {text}" for text, names in kinds.items()]
        return said + [record["problem"] for record in records if record["problem"]]

    def _agreement(self) -> AgreementView | None:
        """Return what a second engine found; nothing where there was none."""
        if not isdefined(self.inputs.agreement_record):
            return None
        rows = read_rows(self.inputs.agreement) if self.inputs.agreement else []
        return agreement_view(_json(self.inputs.agreement_record)["SecondEngine"], rows)

    def _agreement_warnings(self) -> list[str]:
        if not isdefined(self.inputs.agreement_record):
            return []
        warnings: list[str] = _json(self.inputs.agreement_record)["SecondEngine"]["Warnings"]
        return warnings

    def _window(self) -> tuple[float, float] | None:
        """Return the window of spectra to show: the whole band for other nuclei, ``None`` (the usual one) for 1H."""
        from mrs_pipeline.nifti_mrs import read

        spectrum = read(self.inputs.raw_svs).spectrum
        return None if spectrum.nucleus == "1H" else (float(spectrum.ppm[0]), float(spectrum.ppm[-1]))

    def _primary(self) -> dict[str, Any]:
        """Return the names on the first screen where they are not those of 1H."""
        if self._window() is None:
            return {}
        return {"primary": tuple(str(row["metabolite"]) for row in read_rows(self.inputs.concentrations))}

    def _fit_view(self) -> FitView:
        return fit_view(self.inputs.fit, self.inputs.fit_svs)

    def _voxel_view(self) -> VoxelView | None:
        import numpy as np

        from mrs_pipeline.anatomy import load_image
        from mrs_pipeline.nifti_mrs import read
        from mrs_pipeline.report import VoxelView

        scan = read(self.inputs.raw_svs)
        if not isdefined(self.inputs.t1w) or not scan.is_localised:
            return None
        try:
            image = load_image(self.inputs.t1w)
        except InputError:
            return None  # the tissue step has said what is wrong with the image
        return VoxelView(np.asarray(image.dataobj, dtype=np.float32), np.asarray(image.affine), scan.affine)


def scan_status(
    identity: dict[str, Any], fit: dict[str, Any], qc: dict[str, Any], warnings: tuple[str, ...]
) -> dict[str, Any]:
    """Return the status of a scan that came through: how the fit ended and what the rules say."""
    verdict = qc["verdict"]
    words = "; ".join(item["sentence"] for item in verdict["fired"]) or "every rule that could be checked is met"
    return {
        "scan": identity,
        "status": fit["status"],
        "verdict": verdict["status"],
        "words": f"fit {fit['status']}, quality {verdict['status']}: {words}",
        "flags": list(fit["flags"]),
        "warnings": list(warnings),
    }


class FailedReportInput(TraitedSpec):
    """What failed."""

    identity = traits.Str(mandatory=True)
    problem = traits.Str(mandatory=True, desc="stage, problem, remedy, file, details as JSON")
    warnings = traits.List(traits.Str)


class FailedReport(MrsInterface):
    """Write the report and status of a scan that failed."""

    input_spec = FailedReportInput
    output_spec = ReportOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        from mrs_pipeline.report import ScanReport, write_scan_report

        problem = json.loads(self.inputs.problem)
        page = ScanReport(
            identity=identity_view(self.inputs.identity),
            errors=(error_view(problem),),
            warnings=tuple(self.inputs.warnings),
        )
        write_scan_report(page, cwd / "report.html")
        where = f"{problem['file']}: " if problem.get("file") else ""
        status = {
            "scan": json.loads(self.inputs.identity),
            "status": "failed",
            "verdict": None,
            "stage": problem["stage"],
            "problem": problem["problem"],
            "remedy": problem["remedy"],
            "file": problem.get("file"),
            "words": f"{where}{problem['problem']}. To fix it: {problem['remedy']}.",
            "flags": [],
            "warnings": list(self.inputs.warnings),
        }
        (cwd / "status.json").write_text(json.dumps(status, indent=2) + "\n", encoding="utf-8")
        return {"report": cwd / "report.html", "status": cwd / "status.json"}


def error_view(problem: dict[str, Any]) -> ErrorView:
    """Return a problem as the report shows it; paths in the traceback are cut to what is the same on every machine."""
    from mrs_pipeline.report import ErrorView

    details = re.sub(
        r'"/[^"]*?/(mrs_pipeline|workflows|site-packages|python3\.\d+)/', r'"\1/', problem.get("details") or ""
    )
    details = re.sub(r"(?<![\w.])/(?:[^\s:'\"]+/)+", "", details)
    return ErrorView(
        stage=problem["stage"],
        problem=problem["problem"],
        remedy=problem["remedy"],
        file=problem.get("file") or "",
        details=details,
    )


def identity_view(text: str) -> Identity:
    """Return the entities of a scan as the report's identity."""
    from mrs_pipeline.report import Identity

    facts = json.loads(text)
    return Identity(
        **{name: facts.get(name) for name in ("participant_id", "session", "voi", "acq", "run", "task")},
        study=facts.get("study", ""),
    )


def fit_view(fit_json: str, fit_svs: str) -> FitView:
    """Return a fit as the report draws it."""
    from mrs_pipeline.fit import read_fit
    from mrs_pipeline.report import FitView

    fit = read_fit(fit_json, fit_svs)
    return FitView(
        ppm=fit.ppm,
        data=fit.data,
        model=fit.model,
        baseline=fit.baseline,
        residual=fit.residual,
        components=fit.components,
        noise_sd=fit.noise_sd,
        status=fit.status,
        flags=fit.flags,
        notes=fit.notes,
        landmarks=peak_landmarks(fit.metrics),
    )


EDITED_LANDMARKS = {"difference": {"GABA+": 3.0, "Glx": 3.75, "NAA": 2.008}}
"""Peaks marked in a figure; the sum has the usual singlets of 1H."""


def edited_view(record: dict[str, Any], fit: FitView | None, rows: list[dict[str, object]]) -> EditedView:
    """Return difference or sum of an edited scan as the report shows it."""
    from mrs_pipeline.report import EditedView

    basis = record["basis"] or {}
    facts: dict[str, object] = {
        "Target": basis.get("target", ""),
        "Signals": ", ".join(basis.get("names", ())),
        "Simulation": "; ".join(basis.get("notes", ())),
    }
    shown = None if fit is None else replace(fit, landmarks=EDITED_LANDMARKS.get(record["kind"], fit.landmarks))
    return EditedView(shown, tuple(rows), record["problem"], {key: text for key, text in facts.items() if text})


def peak_landmarks(metrics: dict[str, float | None]) -> dict[str, float] | None:
    """Return where the peak model found its peaks, name to ppm; ``None`` for a fit of basis signals."""
    return {name[4:]: value for name, value in metrics.items() if name.startswith("ppm_") and value is not None} or None


def verdict_view(verdict: dict[str, Any]) -> VerdictView:
    """Return the verdict as the report shows it."""
    from mrs_pipeline.qc import metric_title, metric_unit
    from mrs_pipeline.report import FiredRule, VerdictView

    fired = tuple(
        FiredRule(
            name=metric_title(item["metric"]),
            status=item["severity"],
            words=item["words"],
            value=item["value"] if isinstance(item["value"], int | float) else None,
            limit=item["limit"] if isinstance(item["limit"], int | float) else None,
            unit=metric_unit(item["metric"]),
        )
        for item in verdict["fired"]
    )
    missing = (f"{metric_title(item['metric'])} {item['why']}" for item in verdict["not_checked"])
    return VerdictView(verdict["status"], fired, tuple(dict.fromkeys(missing)))


def protocol_views(items: list[dict[str, Any]]) -> tuple[ProtocolCheck, ...]:
    """Return the protocol, line by line."""
    from mrs_pipeline.report import ProtocolCheck

    return tuple(ProtocolCheck(**item) for item in items)


def metric_views(qc: dict[str, Any]) -> tuple[Metric, ...]:
    """Return every numeric metric with its definition, the limits of its rules and whether one fired."""
    from mrs_pipeline.qc import metric_unit
    from mrs_pipeline.report import Metric, limit_words

    fired = {item["metric"]: item["severity"] for item in reversed(qc["verdict"]["fired"])}
    return tuple(
        Metric(
            name=name,
            value=value,
            unit=metric_unit(name),
            limit=limit_words(
                [(operator, limit, severity) for operator, limit, severity in qc["limits"].get(name, ())]
            ),
            definition=qc["definitions"].get(name, ""),
            status=fired.get(name),
            key=name in KEY_METRICS,
        )
        for name, value in qc.items()
        if not isinstance(value, bool) and (value is None or isinstance(value, int | float))
    )


def tissue_view(tissue: dict[str, Any]) -> TissueView | None:
    """Return the fractions as the report shows them, or nothing where there are none."""
    from mrs_pipeline.report import TissueView

    found = tissue["fractions"]
    if found is None:
        return None
    return TissueView(
        gm=found["gm"],
        wm=found["wm"],
        csf=found["csf"],
        sd=max(found["sd"]),
        source=found["source"],
        warnings=tuple(found["warnings"]),
    )


POSTERIOR_WORDS = {
    "emcee": "Posterior: {draws} draws by emcee under the priors, baseline stiffness and noise of the fit "
    "(seed {seed}, at least {effective_draws:.0f} independent).",
    "bootstrap": "Bootstrap: basic interval from {draws} refits of the fitted model with new noise (seed {seed}).",
}
"""How sampled intervals were made."""


def posterior_view(table: dict[str, Any] | None) -> PosteriorView | None:
    """Return the sampled intervals of a fit as the report shows them; nothing where nothing was sampled."""
    from mrs_pipeline.basis import reported_name
    from mrs_pipeline.report import PosteriorView

    if table is None:
        return None
    words = POSTERIOR_WORDS[table["method"]].format(draws=table["draws"], seed=table["seed"], **table["diagnostics"])
    limits = {reported_name(name): (item["low"], item["high"]) for name, item in table["ratios"].items()}
    intervals = {name: pair for name, pair in limits.items() if None not in pair and name != "tCr"}
    return PosteriorView(f"95 % {table['method']}", intervals, words)


ENGINES = {"lcmodel": "LCModel"}
"""Names of second engines in words."""
AGREEMENT_FACTS = {
    "fwhm_ppm": "FWHM (ppm)",
    "snr": "S/N (half of one with the noise SD)",
    "shift_ppm": "data shift (ppm)",
    "phase_deg": "zero-order phase (degrees)",
    "phase_deg_per_ppm": "first-order phase (degrees per ppm)",
}
"""Numbers of the second engine that the report shows."""


def agreement_view(record: dict[str, Any], rows: list[dict[str, object]]) -> AgreementView:
    """Return a second engine's record and table as the report shows them."""
    from mrs_pipeline.report import AgreementView

    engine = ENGINES.get(record["Engine"], record["Engine"])
    if record["Problem"]:
        return AgreementView(engine, problem=record["Problem"])
    facts: dict[str, object] = {label: record["Numbers"].get(key) for key, label in AGREEMENT_FACTS.items()}
    facts["diagnostics"] = "; ".join(record["Diagnostics"]) or "none"
    return AgreementView(record["Version"] or engine, tuple(rows), facts)


def visit_changes(before: list[dict[str, object]], after: list[dict[str, object]]) -> tuple[dict[str, object], ...]:
    r"""Return the change of the main ratios between two visits against the change that measurement alone explains.

    Notes
    -----
    Minimal detectable change at 95 %: :math:`1.96\sqrt{s_1^2 + s_2^2}` with the sampling SDs of the two estimates: the
    SD of the ratio in the share that ``amplitude_sd`` has of ``total_sd``. What both visits have in common (basis,
    priors) cancels in the change. Repositioning and biology come on top, so a change below it is no change, one above
    it need not be one.
    """
    first = {row["metabolite"]: row for row in before}
    changes = []
    for row in after:
        name, old = row["metabolite"], first.get(row["metabolite"])
        spreads = [_sampling_sd(item) for item in (row, old or {})]
        values = [item.get("ratio_tCr") for item in (row, old or {})]
        if name in CHANGES and all(isinstance(value, float) for value in (*values, *spreads)):
            now, then = (float(str(value)) for value in values)
            detectable = 1.96 * sum(float(str(spread)) ** 2 for spread in spreads) ** 0.5
            changes.append(
                {"metabolite": name, "unit": "/tCr", "change": now - then, "minimal_detectable_change": detectable}
            )
    return tuple(changes)


def _sampling_sd(row: dict[str, object]) -> float | None:
    """SD of a ratio from the noise alone; ``None`` where the table lacks a number."""
    given = [row.get(key) for key in ("ratio_tCr_sd", "amplitude_sd", "total_sd")]
    if not all(isinstance(value, float) and value > 0 for value in given):
        return None
    ratio, sampling, total = (float(str(value)) for value in given)
    return ratio * sampling / total


def basis_facts(basis: dict[str, Any]) -> dict[str, object]:
    """Return what the basis set is, label to value."""
    milliseconds = {"TE1": "te1", "TE2": "te2", "TM": "tm"}
    facts: dict[str, object] = {"Source": basis["source"], "Sequence": basis["sequence"], "Pulses": basis["pulses"]}
    facts |= {
        f"{label} (ms)": round(1e3 * basis[key], 3) for label, key in milliseconds.items() if basis[key] is not None
    }
    return {
        **facts,
        "Field (MHz)": round(basis["field_mhz"], 4),
        "Signals": ", ".join(basis["names"]),
        "Notes": "; ".join(basis["notes"]),
    }


def quantification_facts(record: dict[str, Any]) -> dict[str, object]:
    """Return preset, water fit and constants, label to value."""
    water = record["water"]
    facts: dict[str, object] = {
        "Preset": f"{record['preset']}: {record['preset_title']}",
        "Standing": record["preset_status"],
    }
    if water is not None:
        facts["Water amplitude per molecule"] = f"{water['amplitude']:.6g} (SD {water['sd']:.2g})"
        facts["Water FWHM (Hz)"] = f"{water['fwhm_hz']:.2f}"
        facts["Water multiplied by"] = f"{record['receiver_scale']['factor']:.4g} (receiver scale of the scan)"
    if record["sensitivity_lines"]:
        facts["Under other conventions"] = "; ".join(record["sensitivity_lines"])
    for name, constant in record["constants"].items():
        facts[name] = f"{constant['value']:g}" + (f" ({constant['doi']})" if constant.get("doi") else "")
    return facts


def placement_facts(tissue: dict[str, Any]) -> dict[str, object]:
    """Return where the voxel lies and what the boxes of displaced resonances hold, label to value."""
    facts: dict[str, object] = {}
    place = tissue.get("placement")
    if place is not None:
        if place["mni_mm"] is not None:
            facts["Voxel centre, MNI152 (mm)"] = ", ".join(f"{value:.0f}" for value in place["mni_mm"])
        facts["Voxel to outside of the brain (mm)"] = f"{place['skull_mm']:.0f}"
        if place["ventricle_mm"] is not None:
            facts["Voxel to ventricles (mm)"] = f"{place['ventricle_mm']:.0f}"
        facts["Voxel in thalamus or lentiform nucleus (%)"] = f"{100 * place['deep_grey']:.0f}"
    for name, box in tissue.get("displaced", {}).items():
        shares = " / ".join(f"{100 * box[part]:.1f}" for part in ("gm", "wm", "csf"))
        facts[f"Box displaced to {name}, GM / WM / CSF (%)"] = shares
    return facts


def provenance_facts(provenance: dict[str, Any]) -> dict[str, object]:
    """Return sources, settings and versions, label to value."""
    facts: dict[str, object] = {
        f"{item['Role']}": f"{item['URI']} ({item['SHA256'][:12]})" for item in provenance.get("Sources", [])
    }
    facts |= {f"[{name}] settings": digest[:12] for name, digest in provenance.get("SettingsSHA256", {}).items()}
    return facts | dict(provenance.get("Versions", {}))


def read_rows(path: str) -> list[dict[str, object]]:
    """Read a TSV into rows, numbers as floats, ``n/a`` as nothing."""
    with Path(path).open(encoding="utf-8", newline="") as stream:
        return [{key: _value(text) for key, text in row.items()} for row in csv.DictReader(stream, delimiter="\t")]


def _value(text: str) -> object:
    if text == "n/a":
        return None
    try:
        return float(text)
    except ValueError:
        return text


def _json(path: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return data
