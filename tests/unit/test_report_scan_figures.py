"""Figures: geometry against analytic cases, the ppm axis, and SVG that can stand inside a page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrs_pipeline.files import atomic_write
from mrs_pipeline.report import figures
from mrs_pipeline.report.html import format_number, format_percent, format_value, inline_svg

RNG = np.random.default_rng(7)


def rotation(axis, angle):
    u = np.asarray(axis, dtype=float) / np.linalg.norm(axis)
    cross = np.array([[0, -u[2], u[1]], [u[2], 0, -u[0]], [-u[1], u[0], 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def box(size, centre, turn=None):
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if turn is None else turn) @ np.diag(size)
    affine[:3, 3] = centre
    return affine


def polygon_area(points):
    x, y = points[:-1].T
    return 0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


def test_outline_of_an_upright_box_is_its_face():
    outline = figures.box_outline(box((30, 20, 10), (5, -4, 12)), normal=2)
    assert {tuple(np.round(point, 9)) for point in outline} == {
        (-10, -14, 12), (20, -14, 12), (20, 6, 12), (-10, 6, 12),
    }  # fmt: skip


def test_outline_of_a_cube_stood_on_its_corner_is_a_regular_hexagon():
    """The plane through the centre perpendicular to a cube's diagonal cuts a hexagon of side a / sqrt(2)."""
    diagonal = np.array([1.0, 1.0, 1.0]) / np.sqrt(3)
    axis = np.cross(diagonal, [0, 0, 1])
    turn = rotation(axis, np.arccos(diagonal[2]))
    outline = figures.box_outline(box((20, 20, 20), (0, 0, 0), turn), normal=2)
    sides = np.linalg.norm(np.diff(outline, axis=0), axis=1)
    np.testing.assert_allclose(sides, 20 / np.sqrt(2), rtol=1e-12)
    assert len(sides) == 6


def test_outline_survives_corners_in_the_plane():
    """Turned by 45 degrees about x, the coronal plane holds two edges: the cut is a rectangle of width a sqrt(2)."""
    turn = rotation((1, 0, 0), np.pi / 4)
    outline = figures.box_outline(box((20, 20, 20), (0, 0, 0), turn), normal=1)
    assert polygon_area(outline[:, [0, 2]]) == pytest.approx(20 * 20 * np.sqrt(2), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    axis=st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda a: np.linalg.norm(a) > 0.1),
    angle=st.floats(0, np.pi),
    size=st.tuples(*[st.floats(5, 40)] * 3),
    normal=st.sampled_from([0, 1, 2]),
)
def test_outline_lies_in_the_plane_on_the_box_and_about_the_centre(axis, angle, size, normal):
    centre = np.array([12.0, -30.0, 8.0])
    affine = box(size, centre, rotation(axis, angle))
    outline = figures.box_outline(affine, normal)
    np.testing.assert_allclose(outline[:, normal], centre[normal], atol=1e-9)
    local = np.abs(np.linalg.inv(affine) @ np.column_stack([outline, np.ones(len(outline))]).T)[:3]
    np.testing.assert_allclose(local.max(axis=0), 0.5, atol=1e-9)
    mirrored = 2 * centre - outline[:-1]
    distance = np.linalg.norm(mirrored[:, None] - outline[None], axis=-1).min(axis=1)
    np.testing.assert_allclose(distance, 0, atol=1e-6)


@pytest.mark.parametrize("flip", [1, -1])
def test_planes_show_the_left_on_the_left_whatever_the_storage_order(flip):
    """A bright point at x = -30 mm (left) appears in the left half of the axial plane for both storage orders."""
    affine = np.diag([2.0 * flip, 2.0, 2.0, 1.0])
    affine[:3, 3] = [-60.0 * flip, -60.0, -60.0]
    image = np.zeros((61, 61, 61))
    i, j, k, _ = np.linalg.inv(affine) @ [-30, 10, 4, 1]
    image[round(i), round(j), round(k)] = 1.0
    samples, extent = figures.plane_through(image, affine, np.array([0, 0, 4.0]), figures.PLANES[0])
    row, column = np.unravel_index(np.argmax(samples), samples.shape)
    assert extent[0] + column + 0.5 == pytest.approx(-30)
    assert extent[2] + row + 0.5 == pytest.approx(10)
    assert samples.max() == pytest.approx(1.0)


def test_voxel_outline_is_drawn_where_the_box_is():
    image = np.ones((20, 20, 20))
    affine = np.diag([5.0, 5.0, 5.0, 1.0])
    affine[:3, 3] = -47.5
    fig = figures.voxel_figure(image, affine, box((30, 20, 10), (-15, 5, 10)))
    spans = [(line.get_xdata().min(), line.get_xdata().max(), line.get_ydata().min(), line.get_ydata().max())
             for line in (ax.lines[0] for ax in fig.axes)]  # fmt: skip
    np.testing.assert_allclose(spans, [(-30, 0, -5, 15), (-30, 0, 5, 15), (-5, 15, 5, 15)])
    assert [ax.get_title() for ax in fig.axes] == ["axial, z = 10 mm", "coronal, y = 5 mm", "sagittal, x = -15 mm"]
    assert [[text.get_text() for text in ax.texts] for ax in fig.axes] == [["L", "R"], ["L", "R"], ["P", "A"]]
    assert all(ax.get_xlim()[0] < ax.get_xlim()[1] for ax in fig.axes)


def fit_axes(ppm, noise_sd=2.0):
    data = np.exp(-(((ppm - 2.0) / 0.05) ** 2)) * 100
    fig = figures.fit_figure(ppm, data + 4.0, data, np.zeros_like(data), np.full_like(data, 4.0), noise_sd)
    return fig.axes


@pytest.mark.parametrize("order", [1, -1])
def test_ppm_axis_runs_from_high_to_low(order):
    ppm = np.linspace(0.5, 4.2, 371)[::order]
    _residual, main = fit_axes(ppm)
    left, right = main.get_xlim()
    assert (left, right) == pytest.approx((4.2, 0.5))
    model = next(line for line in main.lines if line.get_label() == "model")
    assert model.get_xdata()[np.argmax(model.get_ydata())] == pytest.approx(2.0, abs=0.006)


def test_residual_is_drawn_in_noise_standard_deviations():
    residual, _main = fit_axes(np.linspace(0.5, 4.2, 371))
    np.testing.assert_allclose(residual.lines[-1].get_ydata(), 2.0)
    band = residual.patches[0].get_extents()
    low, high = residual.transData.inverted().transform([(0, band.y0), (0, band.y1)])[:, 1]
    assert (low, high) == pytest.approx((-2, 2))


@pytest.mark.parametrize("bad", [None, 0.0, float("nan")])
def test_share_outside_needs_a_noise_level(bad):
    assert figures.residual_share_outside(np.ones(5), bad) is None


def test_share_outside_of_white_noise_is_the_normal_tail():
    noise = RNG.standard_normal(200_000) + 1j * RNG.standard_normal(200_000)
    assert figures.residual_share_outside(3.0 * noise, 3.0) == pytest.approx(0.0455, abs=0.002)


def test_components_share_one_scale():
    ppm = np.linspace(0.5, 4.2, 200)
    peak = np.exp(-(((ppm - 2) / 0.1) ** 2))
    ax = figures.components_figure(ppm, {"NAA": 3 * peak, "Glu": peak}).axes[0]
    heights = [np.ptp(line.get_ydata()) for line in ax.lines]
    assert heights[0] == pytest.approx(3 * heights[1])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["NAA", "Glu"]


def test_waterfall_marks_rejected_transients():
    kept = np.array([True, False, True, True, False])
    image = RNG.standard_normal((5, 50))
    drift = np.where(kept, np.arange(5.0), np.nan)
    fig = figures.waterfall_figure(np.linspace(0.2, 4.2, 50), kept, image, image, drift, drift)
    assert len(fig.axes) == 4
    np.testing.assert_array_equal(fig.axes[0].lines[0].get_ydata(), [2, 5])
    np.testing.assert_array_equal(fig.axes[2].lines[2].get_ydata(), [2, 5])
    assert fig.axes[0].get_ylim() == (5.5, 0.5)


def test_drift_without_spectra():
    fig = figures.drift_figure(np.array([1.0, np.nan, -1.0]), None, np.array([True, False, True]))
    assert len(fig.axes) == 1
    assert fig.axes[0].get_ylabel() == "frequency (Hz)"


def test_before_after_is_not_flattened_by_the_water_line():
    ppm = np.linspace(0.2, 5.0, 400)
    after = np.exp(-(((ppm - 2) / 0.05) ** 2))
    before = after + 1000 * np.exp(-(((ppm - 4.65) / 0.05) ** 2))
    ax = figures.before_after_figure([("water removal", ppm, before, after)]).axes[0]
    assert ax.get_ylim()[1] < 4


def svg(name="x"):
    ppm = np.linspace(0.5, 4.2, 371)
    data = np.exp(-(((ppm - 2.0) / 0.05) ** 2))
    fig = figures.fit_figure(ppm, data, data, 0 * data, 0 * data, 1.0)
    return inline_svg(fig, name=name, title='a "quoted" <title>')


def test_svg_is_well_formed_small_and_the_same_every_time():
    text = svg()
    root = ET.fromstring(text)  # noqa: S314  our own text
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("aria-label") == 'a "quoted" <title>'
    assert root.get("width") is None
    assert len(text) < 25_000
    assert text == svg()


def test_svg_text_stays_text():
    assert "chemical shift (ppm)" in re.sub(r"<[^>]+>", "", svg())


def test_svg_identifiers_carry_the_figures_name():
    text = svg("scan")
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert ids
    assert all(name.startswith("scan-") for name in ids)
    assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', text)) == set(ids)


def test_a_users_matplotlib_settings_change_nothing_and_stay():
    expected = svg()
    with mpl.rc_context({"axes.linewidth": 9.0, "lines.linestyle": "--", "axes.grid": True, "font.size": 30}):
        assert svg() == expected
        assert mpl.rcParams["axes.linewidth"] == 9.0


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0"), (-0.0001, "-0.000100"), (1e-7, "1.00e-07"), (2.5e7, "2.50e+07"), (float("nan"), "n/a"), ("n/a", "n/a")],
)
def test_numbers_as_printed(value, expected):
    assert format_number(value) == expected


def test_other_values_as_printed():
    assert format_percent(float("inf")) == "n/a"
    assert format_value({"ppm": (0.5, 4.2), "on": False}) == "ppm: 0.5, 4.2; on: no"
    assert format_value(0.03) == "0.03"


def test_a_failed_write_leaves_the_old_page_and_no_rest(tmp_path):
    page = atomic_write(tmp_path / "page.html", "old")
    with pytest.raises(UnicodeEncodeError):
        atomic_write(page, "new \ud800")
    assert page.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_head_bounds_leave_the_background_out():
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = [60.0, -60.0, -60.0]
    image = np.zeros((61, 61, 61))
    image[20:41, 15:46, 30:41] = 100.0
    image[0, 0, 0] = 100.0
    low, high = figures.head_bounds(image + RNG.uniform(0, 5, image.shape), affine, 100.0)
    np.testing.assert_allclose(low, [-20, -30, 0])
    np.testing.assert_allclose(high, [20, 30, 20])


def test_head_bounds_of_an_empty_image_are_the_image():
    low, high = figures.head_bounds(np.zeros((11, 11, 11)), np.eye(4), 1.0)
    np.testing.assert_allclose([low, high], [[0, 0, 0], [10, 10, 10]])


def test_a_box_outside_the_head_stays_in_the_picture():
    image, affine = np.zeros((40, 40, 40)), np.diag([5.0, 5.0, 5.0, 1.0])
    image[10:20, 10:20, 10:20] = 1.0
    fig = figures.voxel_figure(image, affine, box((20, 20, 20), (180, 75, 75)))
    assert fig.axes[0].get_xlim()[1] >= 190
