"""Every picture is made, for full and for partial results, without a warning and without overlapping text."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

import reports
from reports import agreement, calibration, heatmap, labels, orders, pareto, posterior2d, rows, sheet
from reports.figures import PDF_METADATA, figures
from reports.layout import axes_at, new_figure
from reports.run import read_run
from reports.style import GUIDANCE, INTEGRATOR, looks, styled

PICTURES = {
    *("heatmap", "pareto", "pareto-work", "pareto-seconds", "posterior2d-seed2d"),
    *("sheet-digits-inpaint", "calibration-seed2d", "calibration-gmm25-80-2", "calibration-digits-inpaint"),
    *("budget-seed2d", "budget-gmm25-80-2", "budget-digits-inpaint", "orders-digits-inpaint"),
}


@pytest.fixture(scope="module", autouse=True)
def in_style() -> Iterator[None]:
    with styled():
        yield


@pytest.fixture(scope="module")
def board(invented: Path) -> pd.DataFrame:
    return reports.leaderboard(invented)


@pytest.fixture(scope="module")
def drawn(invented: Path, board: pd.DataFrame) -> dict[str, Figure]:
    return dict(figures(board, read_run(invented)))


def texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """Every text that is really drawn, with its box in pixels."""
    seen: list[Text] = []
    draw = Text.draw

    def record(self: Text, renderer: Any, *args: Any, **kwargs: Any) -> None:
        if self.get_visible() and self.get_text().strip():
            seen.append(self)
        draw(self, renderer, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", record)
        figure.canvas.draw()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    return [(text.get_text(), Text.get_window_extent(text, renderer)) for text in dict.fromkeys(seen)]


def assert_readable(figure: Figure) -> None:
    """No two texts overlap, and none leaves the page."""
    found = texts(figure)
    assert found
    width, height = figure.canvas.get_width_height()
    for text, box in found:
        assert box.x0 >= -0.5, text
        assert box.y0 >= -0.5, text
        assert box.x1 <= width + 0.5, text
        assert box.y1 <= height + 0.5, text
    for (one, a), (other, b) in combinations(found, 2):
        both = Bbox.intersection(a, b)
        assert both is None or min(both.width, both.height) < 1.0, (one, other)


def test_all_pictures_are_drawn(drawn: dict[str, Figure]) -> None:
    assert set(drawn) == PICTURES


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_texts_do_not_overlap(drawn: dict[str, Figure], name: str) -> None:
    assert_readable(drawn[name])


def test_the_overlap_check_sees_an_overlap() -> None:
    figure = new_figure(2, 2)
    for word, x in (("one", 0.4), ("two", 0.42), ("three", 0.8), ("four", 0.1)):
        figure.text(x, 0.5, word)
    with pytest.raises(AssertionError, match="one"):
        assert_readable(figure)


def copied(invented: Path, target: Path, keep: Any) -> Path:
    """A copy of the invented run with the rows of its table for which `keep` is true."""
    shutil.copytree(invented, target)
    table = pd.read_parquet(target / "results.parquet")
    table[keep(table)].to_parquet(target / "results.parquet")
    return target


@pytest.mark.parametrize(
    "keep",
    [
        lambda t: (t["problem"] == "digits-inpaint") & (t["instance"] == 1),
        lambda t: t["config"].isin(["exact", "dps"]) & (t["instance"] == 0),
        lambda t: t["config"] == "pc-dps",
        lambda t: t["config"] == "dpi-mixture",
        lambda t: t["status"] != "ok",
        lambda t: t["metric"].isin(["", "sw1"]) & t["config"].str.contains("dp"),
    ],
    ids=["one instance", "two rows", "one row", "mostly skipped", "all failed", "headline alone"],
)
def test_partial_results_are_drawn(invented: Path, tmp_path: Path, keep: Any) -> None:
    run = copied(invented, tmp_path / "run", keep)
    drawn = dict(figures(reports.leaderboard(run), read_run(run)))
    assert {"heatmap", "pareto", "pareto-work", "pareto-seconds"} <= set(drawn)
    for figure in drawn.values():
        assert_readable(figure)


def test_write_report_writes_png_and_pdf_of_each(invented: Path, tmp_path: Path) -> None:
    run = copied(invented, tmp_path / "run", lambda t: (t["problem"] == "seed2d") & t["config"].str.contains("x|dps"))
    written = reports.write_report(run)
    names = {"heatmap", "pareto", "pareto-work", "pareto-seconds", "posterior2d-seed2d", "calibration-seed2d"}
    assert {path.name for path in written[3:-1]} == {f"{name}.{kind}" for name in names for kind in ("png", "pdf")}
    assert all(path.read_bytes()[:4] == b"%PDF" for path in written if path.suffix == ".pdf")


def test_equal_results_give_equal_files(fake_run: Any) -> None:
    fake_run.task("p", 0, "some", {"sw1": 1.0})
    board = reports.leaderboard(fake_run.write())
    pages = []
    for _ in range(2):
        buffer = io.BytesIO()
        heatmap.draw(board).savefig(buffer, format="pdf", metadata=PDF_METADATA)
        pages.append(buffer.getvalue())
    assert pages[0] == pages[1]


def test_torn_and_foreign_files_cost_their_own_panel_only(invented: Path, tmp_path: Path) -> None:
    run = copied(invented, tmp_path / "run", lambda t: t["problem"].isin(["seed2d", "digits-inpaint"]))
    sheets = list((run / "samples").iterdir())
    sheets[0].write_bytes(b"PK torn")
    (run / "samples" / "foreign.npz").write_bytes(b"")
    (run / "tasks" / sheets[1].with_suffix(".json").name).write_text("{")
    (run / "pictures" / "digits-inpaint-0.npz").write_bytes(b"torn")
    (run / "pictures" / "notes.npz").write_bytes(b"torn")
    read = read_run(run)
    assert {problem: instance for problem, (instance, _) in read.pictures().items()}["digits-inpaint"] == 1
    assert "sheet-digits-inpaint" in dict(figures(reports.leaderboard(run), read))


def test_values_beyond_the_axis_of_calibration_are_arrows(drawn: dict[str, Figure]) -> None:
    panel = drawn["calibration-gmm25-80-2"].axes[2]
    arrows = [line for line in panel.lines if line.get_marker() == ">"]
    assert len(arrows) == 1  # the infinite z-std of one row
    assert arrows[0].get_xdata()[0] == panel.get_xlim()[1]
    names = [text.get_text() for text in drawn["calibration-gmm25-80-2"].axes[0].get_yticklabels()]
    assert names[round(arrows[0].get_ydata()[0])] == "projection"


def test_calibration_shows_range_and_null_and_the_exact_band(drawn: dict[str, Figure], board: pd.DataFrame) -> None:
    panel = drawn["calibration-gmm25-80-2"].axes[0]
    rows_of = board[board["problem"] == "gmm25-80-2"].set_index("label")
    line = [text.get_text() for text in panel.get_yticklabels()].index("dps")
    seen = {
        str(dot.get_marker()): dot.get_xdata()[0]
        for dot in panel.lines
        if len(dot.get_xdata()) == 1 and round(dot.get_ydata()[0]) == line
    }
    assert seen == {"o": rows_of.loc["dps", "coverage90_range"], "s": rows_of.loc["dps", "coverage90_null"]}
    exact = rows_of.loc["exact"]
    centre, error = exact["coverage90_range"], exact["coverage90_range_stderr"]
    spans = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in panel.patches]
    assert pytest.approx((centre - 2 * error, centre + 2 * error)) in spans
    assert "diverged" in {text.get_text() for text in panel.texts}


def test_calibration_has_no_target_where_the_truths_are_not_drawn_from_the_prior(board: pd.DataFrame) -> None:
    rows = board[board["problem"] == "digits-inpaint"]
    with styled():
        ours, foreign = (calibration.draw(rows, foreign_truths=answer) for answer in (False, True))
    assert ("no target" in shown(ours), "no target" in shown(foreign)) == (False, True)
    assert ("\ntarget" in "\n" + shown(ours), "\ntarget" in "\n" + shown(foreign)) == (True, False)
    assert [len(a.lines) - len(b.lines) for a, b in zip(ours.axes, foreign.axes, strict=True)] == [1, 1, 1]


def shown(figure: Figure) -> str:
    return "\n".join(text for text, _ in texts(figure))


def test_posterior2d_shows_samples_in_their_own_panel(drawn: dict[str, Figure], invented: Path) -> None:
    panels = {axes.get_title().split("\n")[0]: axes for axes in drawn["posterior2d-seed2d"].axes}
    samples = read_run(invented).samples("seed2d", 0, "dps", "dps[code]", "jax")
    assert samples is not None
    points = {line.get_label(): line.get_xydata() for line in panels["dps[code]"].lines}
    assert any(np.array_equal(np.asarray(data), samples) for data in points.values())
    assert "no samples kept" in {text.get_text() for text in panels["my_own"].texts}
    frames = {title: panels[title].spines["left"].get_linestyle() for title in ("exact †", "prior", "dps")}
    assert frames["dps"] == "solid" != frames["exact †"] == frames["prior"]
    assert next(iter(panels)) == "exact posterior"


def test_posterior2d_tells_what_lies_outside(fake_run: Any) -> None:
    grid = np.linspace(-1.0, 1.0, 30)
    density = np.exp(-0.5 * (grid[:, None] ** 2 + grid[None, :] ** 2) / 0.1)
    arrays = {"posterior_mean": [0, 0], "posterior_std": [1, 1], "samples": np.zeros((5, 2))}
    fake_run.picture("p", 2, x_true=[0.1, 0.2], grid_x=grid, grid_y=grid, density=density, **arrays)
    samples = np.zeros((10, 2))
    samples[:3] = 2.0
    samples[3, 1] = np.nan
    fake_run.task("p", 2, "some", {"sw1": 1.0}, samples)
    run = fake_run.write()
    board = reports.leaderboard(run)
    text = shown(dict(figures(board, read_run(run)))["posterior2d-p"])
    assert "30% outside" in text
    assert "10% not finite" in text
    assert "instance 2" in text


def test_contours_hold_their_mass() -> None:
    grid = np.linspace(-4.0, 4.0, 400)
    density = np.exp(-0.5 * (grid[:, None] ** 2 + grid[None, :] ** 2) / 0.64)
    for level, mass in zip(posterior2d._levels(density), posterior2d.MASSES, strict=True):
        assert level == pytest.approx(1 - mass, rel=0.03)  # a Gaussian's density relative to its peak


def test_too_many_rows_are_cut_by_their_order_and_named(board: pd.DataFrame) -> None:
    problem = board[board["problem"] == "seed2d"]
    kept, told = rows.tried_rows(problem, 9)
    assert [row["reference"] for row in kept] == 6 * [True] + 3 * [False]
    assert {row["label"] for row in kept[6:]} == set(problem["label"].iloc[6:9])  # the lowest means
    assert "Not shown for want of room (last rows): em-jalal, " in told
    assert "my_own" in told
    kept, told = rows.tried_rows(problem, 99)
    assert (len(kept), told) == (len(problem), "")
    kept, told = rows.tried_rows(board[board["problem"] == "gmm25-80-2"], 99)
    assert told == " Skipped: dpi-ode[paper], dpi-mixture."


def test_rows_have_one_order(board: pd.DataFrame) -> None:
    order = [row["label"] for row in rows.method_rows(board.sample(frac=1, random_state=3))]
    assert order[:6] == ["exact", "oracle-ode", "oracle-ode[N(0,I)]", "oracle-pc", "oracle-em", "prior"]
    assert order[6:11] == ["em-none", "em-jalal", "em-dps", "em-pigdm", "em-mmps"]
    assert order[-3:] == ["dpi-ode[paper]", "dpi-mixture", "my_own"]


def test_every_row_has_its_own_look(board: pd.DataFrame) -> None:
    look = looks(board)
    assert len(set(look.values())) == len(look) == board["label"].nunique()
    assert look["pc-dps"].color == GUIDANCE["dps"]
    assert look["pc-dps"].marker == INTEGRATOR["pc"]


def test_a_heatmap_of_many_problems_stays_on_its_page(fake_run: Any) -> None:
    """The page ends at the last column, where the colour bar has its last number."""
    for problem in (f"gmm25-800-{i}" for i in range(19)):
        fake_run.floor(problem, 0, "sw1", [0.01])
        for config in ("exact", "annealed-langevin[normalised]"):
            fake_run.task(problem, 0, config, {"sw1": 5.0})
    with styled():
        assert_readable(heatmap.draw(reports.leaderboard(fake_run.write())))


def test_heatmap_writes_numbers_frames_and_words(drawn: dict[str, Figure], board: pd.DataFrame) -> None:
    panel = drawn["heatmap"].axes[0]
    problems, methods = list(board["problem"].unique()), [row["label"] for row in rows.method_rows(board)]
    written = {(t.get_position()[1], t.get_position()[0]): t.get_text() for t in panel.texts}

    def at(problem: str, label: str) -> str:
        return written[methods.index(label) + 0.5, problems.index(problem) + 0.5]

    cell = board[(board["problem"] == "gmm25-80-2") & (board["label"] == "pc-mmps")].iloc[0]
    assert at("gmm25-80-2", "pc-mmps") == f"{cell['sw1_over_floor95']:.1f}"
    assert at("gmm25-80-2", "pc-dps") == "diverged"
    assert at("digits-inpaint", "em-mmps") == "timeout"
    assert at("digits-inpaint", "dpi-mixture") == "skip"
    bold = sum(t.get_fontweight() == "bold" for t in panel.texts)
    assert bold == board["at_floor"].sum() == sum(not patch.get_fill() for patch in panel.patches)
    hatched = sum(bool(patch.get_hatch()) for patch in panel.patches)
    assert hatched == ((board["tasks_failed"] > 0) | (board["tasks_ok"] == 0)).sum()


def test_heatmap_greys_what_is_not_believed(fake_run: Any) -> None:
    """On q SW1 is not believed: no colour, no frame, and no part in the scale of colours."""
    for problem in ("p", "q"):
        fake_run.floor(problem, 0, "sw1", [1.0])
        for label, value in (("low", 0.5), ("high", 9.0 if problem == "p" else 90.0)):
            fake_run.task(problem, 0, label, {"sw1": value})
        fake_run.task(problem, 0, "lost", status="failed")
    figures_of = []
    for believed in (True, False):
        gates = pd.DataFrame({"problem": ["q"], "metric": ["sw1"], "believed": [believed], "reason": [""]})
        gates.to_parquet(fake_run.path / "gates.parquet")
        figures_of.append(heatmap.draw(reports.leaderboard(fake_run.write())))
        assert_readable(figures_of[-1])
    before, after = figures_of
    assert ("not believed" in shown(before), "not believed" in shown(after)) == (False, True)
    written = {(t.get_position()[0], t.get_position()[1]): t for t in after.axes[0].texts}
    column = {column: [written[column + 0.5, line + 0.5].get_text() for line in range(3)] for column in (0, 1)}
    assert column == {0: ["9.0", "failed", "0.50"], 1: ["(90)", "failed", "(0.50)"]}
    filled = [patch for patch in after.axes[0].patches if patch.get_fill()]
    grey = [patch for patch in filled if patch.get_facecolor() == to_rgba(heatmap.DOUBTED)]
    assert [(round(patch.get_x()), patch.get_hatch()) for patch in grey] == 2 * [(1, "....")]
    assert not [patch for patch in before.axes[0].patches if patch.get_hatch() == "...."]
    assert sum(not patch.get_fill() for patch in after.axes[0].patches) == 1
    assert after.axes[1].get_xlim()[1] == pytest.approx(9.0)
    assert before.axes[1].get_xlim()[1] == pytest.approx(90.0)


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(0.934, "0.93"), (1.96, "1.96"), (4.25, "4.2"), (37.4, "37"), (980.0, "980"), (12345.0, "12k"), (1.2e6, "1e6")],
)
def test_compact_numbers(ratio: float, text: str) -> None:
    assert heatmap.compact(ratio) == text


def test_the_front_holds_what_no_cheaper_method_beats() -> None:
    points = pd.DataFrame(
        [
            ("cheap", False, 1.0, 9.0),
            ("worse", False, 2.0, 9.5),
            ("same", False, 2.5, 9.0),
            ("better", False, 3.0, 2.0),
            ("floor", False, 5.0, 0.9),
            ("lower floor", False, 6.0, 0.5),
            ("oracle", True, 0.5, 0.4),
        ],
        columns=["label", "reference", "x", "y"],
    ).sample(frac=1, random_state=1)
    assert list(pareto._front(points)["label"]) == ["cheap", "better", "floor"]


def test_the_overall_front_compares_on_shared_problems_only(board: pd.DataFrame, drawn: dict[str, Figure]) -> None:
    shared, absent = pareto._shared(board)
    assert set(absent) == {"em-mmps", "pc-dps", "dpi-ode[paper]", "dpi-mixture"}
    assert shared.groupby("label")["problem"].nunique().eq(3).all()
    text = shown(drawn["pareto"])
    assert all(label in text for label in absent)
    means = pareto._geometric_means(pareto._points(shared, pareto.COSTS[0])).set_index("label")
    own = board[board["label"] == "em-none"]["sw1_over_floor95"]
    assert means.loc["em-none", "y"] == pytest.approx(np.exp(np.log(own).mean()))
    assert means.loc["exact", "x"] == 0.0
    assert means.loc["em-dps", "x"] == pytest.approx(2000.0)


def test_both_overall_panels_have_the_same_axis_of_accuracy(fake_run: Any) -> None:
    fake_run.task("p", 0, "prior", {"sw1": 3.0}, seconds_sample=np.nan)
    fake_run.task("p", 0, "dps", {"sw1": 0.2})
    fake_run.floor("p", 0, "sw1", [0.1, 0.1])
    left, right = pareto.draw_overall(reports.leaderboard(fake_run.write())).axes
    assert left.get_ylim() == right.get_ylim()
    assert left.get_ylim()[1] > 30


def test_points_beyond_the_axis_are_drawn_at_its_edge(fake_run: Any) -> None:
    fake_run.floor("p", 0, "sw1", [1.0, 1.0])
    for label, value in (("prior", 10.0), ("far", 1e6), ("near", 2.0)):
        fake_run.task("p", 0, label, {"sw1": value})
    board = reports.leaderboard(fake_run.write())
    points = pareto._points(board, pareto.COSTS[0])
    scale = pareto.Scale.of(points)
    assert scale.top < 1000
    heights = dict(zip(points["label"], scale.positions(points)[:, 1], strict=True))
    assert heights["near"] == 2.0
    assert scale.top > heights["prior"] == 10.0
    assert heights["far"] < scale.top
    arrows = [
        line for line in pareto.draw_problems(board, pareto.COSTS[0]).axes[0].lines if "arrow" in str(line.get_marker())
    ]
    assert len(arrows) == 1


def crowd(panel: Axes, n: int) -> tuple[np.ndarray, list[str]]:
    panel.set(xlim=(0, 1), ylim=(0, 1))
    points = 0.5 + 0.06 * np.random.default_rng(5).normal(size=(n, 2))
    return points, [f"a method of some length {i}" for i in range(n)]


def test_labels_are_placed_apart_from_each_other_and_from_points() -> None:
    figure = new_figure(4, 3)
    panel = axes_at(figure, 0.5, 0.2, 3.3, 2.5)
    points, names = crowd(panel, 7)
    panel.plot(*points.T, "o", markersize=4)
    unplaced = labels.place(panel, points, names, points, [points[:2]])
    assert unplaced == []
    assert_readable(figure)
    boxes = [box for text, box in texts(figure) if "method" in text]
    assert len(boxes) == 7
    for x, y in panel.transData.transform(points):
        assert not any(box.contains(x, y) for box in boxes)


def test_labels_without_room_are_returned() -> None:
    figure = new_figure(1.5, 1.2)
    panel = axes_at(figure, 0.3, 0.1, 1.1, 0.9)
    points, names = crowd(panel, 9)
    unplaced = labels.place(panel, points, names, points, [points[:2]])
    assert unplaced
    assert len([text for text, _ in texts(figure) if "method" in text]) == 9 - len(unplaced)


def test_sheet_places_each_picture_where_it_belongs(fake_run: Any) -> None:
    truth = np.linspace(0.0, 1.0, 12).reshape(3, 4)[:, :3]
    arrays = {"posterior_mean": truth, "posterior_std": 0.1 + truth, "samples": np.stack([truth, 1 - truth, truth.T])}
    fake_run.picture("p", 0, x_true=truth, y_image=truth.T, prior_std=truth, **arrays)
    fake_run.task("p", 0, "some", {"sw1": 1.0}, np.stack([truth, truth.T, truth, truth]))
    run = read_run(fake_run.write())
    figure = sheet.draw(reports.leaderboard(run.directory), run, 0, run.pictures()["p"][1])
    canvas = np.asarray(figure.axes[0].images[-1].get_array())
    unit = canvas.shape[0]
    assert canvas.shape[1] == 7 * unit  # mean, std, error, three samples and a zoom of the only row
    limits = sheet._range(run.pictures()["p"][1])
    second = canvas[:, 4 * unit : 5 * unit]
    middle = [int(unit * (i + 0.5) / 3) for i in range(3)]
    assert np.array_equal(second[np.ix_(middle, middle)], sheet._shown(truth.T, limits))
    mean = canvas[:, :unit][np.ix_(middle, middle)]
    assert np.array_equal(mean, sheet._shown((3 * truth + truth.T) / 4, limits))
    error = canvas[:, 2 * unit : 3 * unit][np.ix_(middle, middle)]
    expected = np.array([[np.sign(truth[2, 0] - truth[0, 2]) / 3**0.5]])
    assert error[0, 2].tolist() == sheet._rgba(sheet.DIVERGING, expected, -4, 4).ravel().tolist()


def test_errors_are_in_standard_deviations_and_saturate() -> None:
    samples = np.array([[[1.0, 3.0], [2.0, 2.0]], [[3.0, 5.0], [2.0, 2.0]]])
    truth = np.array([[4.0, 1.0], [2.0, 7.0]])
    found = sheet._pictures(samples, truth, sheet.Range(0.0, 1.0, 1.0))[2]
    expected = np.array([[-2.0, 3.0], [0.0, -4.0]])
    np.testing.assert_array_equal(found, sheet._rgba(sheet.DIVERGING, expected, -4.0, 4.0))
    red, blue = found[0, 1].astype(int), found[1, 1].astype(int)
    assert red[0] > red[2]
    assert blue[2] > blue[0]


def test_a_zoom_shows_the_middle() -> None:
    image = np.arange(64.0).reshape(8, 8)
    np.testing.assert_array_equal(sheet._zoomed(image), np.kron(image[2:6, 2:6], np.ones((2, 2))))
    assert sheet._zoomed(np.zeros((25, 25))).shape == (25, 25)


def test_pixels_that_are_not_finite_have_their_own_colour() -> None:
    limits = sheet.Range(0.0, 1.0, 1.0)
    image = np.array([[0.0, 1.0], [np.nan, 2.0]])
    assert [tuple(pixel) for pixel in sheet._shown(image, limits).reshape(-1, 4)] == [
        (0, 0, 0, 255),
        (255, 255, 255, 255),
        sheet.BAD,
        (255, 255, 255, 255),
    ]


def test_a_sheet_without_a_posterior_shows_truth_measurement_and_methods(fake_run: Any) -> None:
    """A measurement of another size is shown on the square of the truth, and the std up to the largest of the prior."""
    truth = np.linspace(0.0, 1.0, 9).reshape(3, 3)
    measured = np.arange(10.0).reshape(5, 2)
    fake_run.unknown = ("p",)
    fake_run.picture("p", 0, x_true=truth, y_image=measured, prior_std=0.5 * np.ones((3, 3)))
    fake_run.task("p", 0, "some", {"psnr_mean_db": 20.0}, np.stack([truth, truth.T, truth, truth]))
    run = read_run(fake_run.write())
    figure = sheet.draw(reports.leaderboard(run.directory), run, 0, run.pictures()["p"][1])
    titles = [text.get_text() for text in figure.axes[0].texts]
    assert "exact posterior\n(closed form)" not in titles
    assert {"truth", "measured"} <= set(titles)
    assert "std: 0 to 0.5" in " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
    np.testing.assert_array_equal(sheet._resized(measured, (3, 3)), measured[np.ix_([0, 1, 3], [0, 0, 1])])


def test_methods_that_draw_one_law_agree_and_others_do_not(fake_run: Any) -> None:
    """The ratio is about 1 for one law, also where both were given the same numbers, and symmetric."""
    rng = np.random.default_rng(3)
    fake_run.unknown = ("p",)
    fake_run.picture("p", 0, x_true=np.zeros((3, 3)), y_image=np.zeros((3, 3)), prior_std=np.ones((3, 3)))
    own = rng.standard_normal((200, 3, 3))
    for config, x in (("a", own), ("b", rng.standard_normal((200, 3, 3))), ("twin", own), ("far", 1 + own[::-1])):
        fake_run.task("p", 0, config, {"psnr_mean_db": 20.0}, x)
    fake_run.task("p", 0, "torn", {"psnr_mean_db": 20.0}, np.full((200, 3, 3), np.nan))
    run = read_run(fake_run.write())
    board = reports.leaderboard(run.directory)
    assert not board["posterior_known"].any()
    figure = agreement.draw(board, run)
    assert figure is not None
    names = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert sorted(names) == ["a", "b", "far", "twin"]
    samples = {name: run.samples("p", 0, name, name, "jax") for name in names}
    ratios = pd.DataFrame(agreement._ratios(list(samples.values())), names, names)
    np.testing.assert_allclose(ratios, ratios.T)
    np.testing.assert_allclose(np.diag(ratios), 1.0)
    assert 0.6 < ratios.loc["a", "b"] < 1.6
    assert 0.6 < ratios.loc["a", "twin"] < 1.6
    assert ratios.loc["a", "far"] > 3
    null = agreement._of_one_law([[x] for x in samples.values()])
    assert ratios.loc["a", "b"] < null < 1.6
    assert agreement.draw(board[board["method"].isin(["a", "torn"])], run) is None
    assert {"agreement-p", "sheet-p"} <= set(dict(figures(board, run)))


def test_orders_by_three_scores_are_side_by_side(board: pd.DataFrame) -> None:
    rows = board[(board["problem"] == "digits-inpaint") & ~board["reference"]].head(5).copy()
    assert len(rows) == 5
    rows["psnr_mean_db"] = [30.0, 29.0, 28.0, 27.0, 26.0]
    rows["sw1"] = [0.1, 0.2, 0.3, 0.4, 0.5]
    rows["coverage90_range"], rows["coverage90_null"] = [-0.5, 0.02, 0.01, 0.0, 0.0], [0.0, -0.4, 0.3, -0.2, 0.1]
    figure = orders.draw(rows)
    assert figure is not None
    lines = [line.get_ydata() for line in figure.axes[0].lines]
    np.testing.assert_array_equal(lines, [[0, 0, 4], [1, 1, 3], [2, 2, 2], [3, 3, 1], [4, 4, 0]])
    told = " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
    assert "with the distance 1.00, with calibration -1.00" in told
    assert orders.draw(rows.head(3)) is None
    assert orders.draw(rows.assign(sw1_doubt="blind")) is None
    assert orders.draw(rows.assign(coverage90_null_doubt="blind")) is not None
    assert orders.draw(rows.drop(columns=["coverage90_range", "coverage90_null"])) is None


@pytest.mark.parametrize("n", [8, 100])
def test_95_of_100_pairs_of_one_law_have_at_most_the_ratio_that_is_shown(n: int) -> None:
    rng = np.random.default_rng(n)
    samples = [rng.standard_normal((n, 5)) * np.array([1.0, 2.0, 0.1, 1.0, 3.0]) for _ in range(24)]
    ratios = agreement._ratios(list(samples))[np.triu_indices(24, 1)]
    null = agreement._of_one_law([[x] for x in samples])
    assert 0.9 < np.mean(ratios <= null) < 0.995
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("shape", [(5, 8), (3, 6, 6), (3, 4, 7)])
def test_sheets_of_images_that_are_coloured_or_not_square(fake_run: Any, shape: tuple[int, ...]) -> None:
    fake_run.unknown = ("p",)
    truth = np.random.default_rng(0).random(shape)
    fake_run.picture("p", 0, x_true=truth, y_image=truth[..., :2], prior_std=np.ones(shape))
    fake_run.task("p", 0, "some", {"psnr_mean_db": 20.0}, np.stack([truth, 1 - truth, truth, truth]))
    run = read_run(fake_run.write())
    named = dict(figures(reports.leaderboard(run.directory), run))
    assert len(named["sheet-p"].axes[0].images) == 2
    told = " ".join(text.get_text() for text in named["sheet-p"].texts).replace("\n", " ")
    assert ("three channels" in told) == (len(shape) == 3)


def test_colours_are_those_of_the_image() -> None:
    limits = sheet.Range(0.0, 2.0, 1.0)
    image = np.array([[[0.0, 2.0]], [[1.0, 3.0]], [[2.0, np.nan]]])
    assert [tuple(pixel) for pixel in sheet._shown(image, limits).reshape(-1, 4)] == [(0, 128, 255, 255), sheet.BAD]
    mosaic = sheet._zoomed(np.arange(32.0).reshape(4, 8))
    np.testing.assert_array_equal(mosaic[0], [10, 10, 11, 11, 12, 12, 13, 13])
