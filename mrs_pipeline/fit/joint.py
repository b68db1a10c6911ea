"""Fit all visits of one participant and region together: a declared sensitivity analysis beside the fits apart.

The same head, sequence and voxel: macromolecule and lipid pattern, relative shifts and widths of the metabolites and
the stiffness of the baseline are shared (:mod:`mrs_pipeline.fit.joint_problem`); amplitudes, phases, common shift and
lineshape belong to the visit. What is wrong in what is shared moves all visits alike and leaves the change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, cast

import numpy as np
from scipy.linalg import block_diag

from mrs_pipeline.basis import Basis
from mrs_pipeline.config import FitSection
from mrs_pipeline.errors import BasisError, FitError, StudyError
from mrs_pipeline.fit import engine
from mrs_pipeline.fit.joint_problem import JointObjective, Sharing
from mrs_pipeline.fit.joint_result import JointFit, VisitAmplitudes, common_names, side_by_side
from mrs_pipeline.fit.joint_uncertainty import BETWEEN, joint_covariances
from mrs_pipeline.fit.objective import Objective
from mrs_pipeline.fit.result import FitResult
from mrs_pipeline.fit.selection import Search, StiffnessPath, stiffness_path
from mrs_pipeline.fit.solver import Solution, solve
from mrs_pipeline.fit.summary import summarise
from mrs_pipeline.spectrum import FloatArray, Spectrum

if TYPE_CHECKING:
    from mrs_pipeline.fit.engine import Fitted

ROUNDS = (1e-3, 1e-6)
"""Tolerances of the two joint minimisations; the stiffness is chosen before each."""
MAX_EVALUATIONS = 60
WORSE = 1.1
"""Residual over that of the fit apart from which sharing is said not to suit a visit."""
STRAINED = 4.0
"""Factor on the variance between visits from which sharing is said to be too tight."""


@dataclass(frozen=True, eq=False)
class Visit:
    """One visit: its label, preprocessed spectrum and basis."""

    label: str
    spectrum: Spectrum
    basis: Basis


def fit_visits(visits: Sequence[Visit], settings: FitSection, sharing: Sharing | None = None) -> JointFit:
    """Fit the visits of one participant and region, apart and then jointly.

    Parameters
    ----------
    visits
        In order, the baseline first. A visit that was missed is simply not among them.
    settings
        The ``[fit]`` section.
    sharing
        How much of what is shared may differ between visits.

    Returns
    -------
    JointFit
        Amplitudes of all visits with their common covariance. A visit whose own fit failed or whose basis set
        cannot be used is left out and named; a doubtful one enters with its larger noise, and is said.

    Raises
    ------
    FitError
        Fewer than two visits can be fitted.
    StudyError
        The settings ask for the peak model, which has nothing to share; or two visits share a label.
    """
    check_joint(settings)
    labels = [visit.label for visit in visits]
    if len(set(labels)) < len(labels):
        raise StudyError(f"two visits share a label: {', '.join(labels)}", remedy="name every visit once")
    sharing = sharing or Sharing()
    with engine.one_thread():
        labels, fitted, fits, left_out = minimise_apart(visits, settings)
        if len(fitted) < 2:
            raise FitError(
                f"a joint fit needs two visits that can be fitted, and there is {len(fitted)}"
                + "".join(f"; {label}: {reason}" for label, reason in left_out.items()),
                remedy="none needed: the visits' own fits stand",
            )
        problem, solution, search, spent = minimise_together(fitted, settings, sharing)
        return _result(labels, fitted, fits, left_out, problem, solution, search, spent)


def check_joint(settings: FitSection) -> None:
    """Refuse settings that leave nothing to share."""
    if settings.model != "basis":
        raise StudyError(
            f'the joint fit of visits is not available with [fit] model = "{settings.model}"',
            remedy="set [fit] joint_visits = false",
        )


def minimise_apart(
    visits: Sequence[Visit], settings: FitSection
) -> tuple[list[str], list[Fitted], list[FitResult], dict[str, str]]:
    """Fit every visit alone; those that failed, or have a basis set that cannot be used, are named with the reason."""
    labels, minimisations, fits, left_out = [], [], [], {}
    for visit in visits:
        try:
            fitted, flags, notes = engine.minimise(visit.spectrum, visit.basis, settings)
        except (FitError, BasisError) as error:
            left_out[visit.label] = error.problem
            continue
        fit = summarise(fitted, flags, notes)
        if fit.status == "failed":
            left_out[visit.label] = "its own fit failed (" + "; ".join(fit.notes) + ")"
            continue
        labels.append(visit.label)
        minimisations.append(fitted)
        fits.append(fit)
    return labels, minimisations, fits, left_out


def minimise_together(
    fitted: Sequence[Fitted], settings: FitSection, sharing: Sharing
) -> tuple[JointObjective, Solution, Search, int]:
    """Minimise jointly from the fits apart: problem, solution, effect of the stiffness search, evaluations."""
    thetas = [item.solution.theta for item in fitted]
    spent = 0
    for tolerance in ROUNDS:
        stiffness, search = _stiffness(fitted, thetas, settings, sharing)
        problem = JointObjective([_problem(f, s) for f, s in zip(fitted, stiffness, strict=True)], sharing)
        solution = solve(
            cast("Objective", problem),
            np.concatenate(thetas),
            tolerance=tolerance,
            max_evaluations=MAX_EVALUATIONS,
        )
        thetas = problem.split(solution.theta)
        spent += problem.evaluations * len(fitted)
    return problem, solution, search, spent


def _problem(fitted: Fitted, stiffness: float) -> Objective:
    """Problem of one visit as its own fit left it, at another stiffness."""
    own = fitted.objective
    return Objective(own.model, _data(fitted), own.noise_sd, own.baseline, stiffness, own.rows, own.weight)


def _data(fitted: Fitted) -> FloatArray:
    return np.asarray(fitted.objective.model.to_window(fitted.prepared.spectrum.fid).real)


def _stiffness(
    fitted: Sequence[Fitted], thetas: Sequence[FloatArray], settings: FitSection, sharing: Sharing
) -> tuple[list[float], Search]:
    """Stiffness of each visit's baseline, and what choosing it does to the amplitudes of all visits."""
    own = [item.objective.stiffness for item in fitted]
    apart = Search(
        block_diag(*[item.search.drawn for item in fitted]), block_diag(*[item.search.plausible for item in fitted])
    )
    searched = settings.baseline == "auto" and all(item.objective.baseline is not None for item in fitted)
    if not (searched and sharing.stiffness):
        return own, apart
    paths = [_path(item, theta) for item, theta in zip(fitted, thetas, strict=True)]
    common = summed(paths)
    chosen = int(np.argmin(np.abs(common.stiffness - common.best(engine.CRITERION))))
    return [float(path.stiffness[chosen]) for path in paths], common.search(engine.CRITERION)


def summed(paths: Sequence[StiffnessPath]) -> StiffnessPath:
    """One path for all visits on the grid of the first: every criterion added up, amplitudes side by side.

    Redrawn noise is added up as well, the draws of each visit in another order, since visits have noise of their own.
    """
    paths = [replace(path, redrawn=np.roll(path.redrawn, 97 * number, axis=0)) for number, path in enumerate(paths)]
    grid = {"stiffness", "dimensions", "amplitudes"}
    scores = {item.name for item in fields(StiffnessPath)} - grid
    added = {name: np.sum([getattr(path, name) for path in paths], axis=0) for name in sorted(scores)}
    return replace(paths[0], amplitudes=np.concatenate([path.amplitudes for path in paths], axis=1), **added)


def _path(fitted: Fitted, theta: FloatArray) -> StiffnessPath:
    """Criteria of one visit over the grid of dimensions, which is the same for all visits of one window."""
    own = fitted.objective
    if own.baseline is None:
        raise AssertionError("a visit without baseline has no stiffness")
    spectra = own.at(theta).spectra.real
    scale = own.weight / own.noise_sd
    return stiffness_path(
        spectra,
        _data(fitted),
        scale,
        own.baseline,
        own.rows,
        own.model.components.signed,
        fitted.prepared.noise / own.noise_sd,
    )


def _result(
    labels: list[str],
    fitted: Sequence[Fitted],
    fits: Sequence[FitResult],
    left_out: dict[str, str],
    problem: JointObjective,
    solution: Solution,
    search: Search,
    spent: int,
) -> JointFit:
    """Put numbers, comparison with the fits apart and verdict together."""
    spread = joint_covariances(problem, solution.theta, [item.prepared.noise for item in fitted], search)
    point = problem.at(solution.theta)
    ratio = tuple(
        float(np.sqrt(np.mean(left**2) / np.mean(item.objective.at(item.solution.theta).residual ** 2)))
        for left, item in zip(point.residuals, fitted, strict=True)
    )
    strain = {name: value for name, value in spread.prior_scale.items() if name.endswith(BETWEEN)}
    found = [
        *_doubtful_visits(labels, fits),
        *((("visit_left_out", f"{label} is not in the joint fit: {why}") for label, why in left_out.items())),
        *_solver(solution),
        *(
            ("sharing_misfit", f"{label}: sharing leaves {value:.2f} times the residual of its own fit")
            for label, value in zip(labels, ratio, strict=True)
            if value > WORSE
        ),
        *(
            ("sharing_strained", f"visits differ more than sharing expects ({name}: {np.sqrt(value):.1f} times)")
            for name, value in strain.items()
            if value > STRAINED
        ),
    ]
    return JointFit(
        joint=_amplitudes(labels, problem, point.solution.amplitudes, spread.sampling, spread.total),
        independent=side_by_side(fits, labels),
        fits=tuple(fits),
        sharing=problem.sharing,
        baseline_dimensions=tuple(_dimensions(visit) for visit in problem.visits),
        residual_ratio=ratio,
        left_out=left_out,
        status="doubtful" if found else "ok",
        flags=tuple(dict.fromkeys(code for code, _ in found)),
        notes=tuple(words for _, words in found),
        nonlinear=tuple(
            {visit.model.names[position]: float(part[position]) for position in visit.varying}
            for visit, part in zip(problem.visits, problem.split(solution.theta), strict=True)
        ),
        evaluations=spent,
        metrics={"cost": solution.cost, **{f"prior_scale_{name}": value for name, value in spread.prior_scale.items()}},
    )


def _doubtful_visits(labels: Sequence[str], fits: Sequence[FitResult]) -> list[tuple[str, str]]:
    return [
        ("doubtful_visit", f"{label}: its own fit is doubtful ({'; '.join(fit.notes)})")
        for label, fit in zip(labels, fits, strict=True)
        if fit.status != "ok"
    ]


def _solver(solution: Solution) -> list[tuple[str, str]]:
    return [] if solution.success else [("not_converged", f"the joint solver stopped early: {solution.message}")]


def _amplitudes(
    labels: list[str], problem: JointObjective, amplitudes: FloatArray, sampling: FloatArray, total: FloatArray
) -> VisitAmplitudes:
    """Keep the components that every visit has (one with an artefact has more)."""
    all_names = [visit.model.components.names for visit in problem.visits]
    names = common_names(all_names)
    starts = np.cumsum([0] + [len(each) for each in all_names])[:-1]
    place = np.array(
        [start + each.index(name) for start, each in zip(starts, all_names, strict=True) for name in names]
    )
    block = np.ix_(place, place)
    return VisitAmplitudes(
        tuple(labels), names, amplitudes[place].reshape(len(labels), -1), sampling[block], total[block]
    )


def _dimensions(visit: Objective) -> float:
    if visit.baseline is None:
        return 0.0
    return visit.baseline.dimensions(visit.stiffness) / visit.baseline.width_ppm
