import struct
import sys

import numpy as np
import pytest

from bnn_exit.errors import MissingPackageError
from bnn_exit.evaluation import plots


def size(path):
    """Width and height of a PNG."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


def texts(figure):
    axes = figure.axes[0]
    return [axes.get_title(), axes.get_xlabel(), axes.get_ylabel()]


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    figures = []
    save = plots.save

    def keep(figure, path):
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(plots, "save", keep)
    return figures


def test_trade_off_shows_curve_exits_and_points_in_percent(tmp_path, drawn):
    plots.trade_off(
        tmp_path / "a.png",
        curve=[(0.3, 0.9), (0.5, 0.95), (1.0, 0.96)],
        exits=[(0.3, 0.9), (1.0, 0.96)],
        points={"full": (1.0, 0.96), "fast": (0.4, 0.94)},
        title="words, test split, 10 clips",
    )
    assert min(size(tmp_path / "a.png")) > 300
    (figure,) = drawn
    axes = figure.axes[0]
    assert texts(figure) == ["words, test split, 10 clips", "mean cost (ops, % of the full network)", "accuracy (%)"]
    assert axes.lines[0].get_xdata().tolist() == pytest.approx([30, 50, 100])
    assert axes.lines[0].get_ydata().tolist() == pytest.approx([90, 95, 96])
    _, labels = axes.get_legend_handles_labels()
    assert labels == ["one threshold for all exits, swept", "every clip at one exit", "full", "fast"]
    assert [text.get_text() for text in axes.texts] == ["exit 1", "exit 2"]


def test_names_are_drawn_as_they_are(tmp_path, drawn):
    from matplotlib.text import Text

    names = [r"$\foo$", "$5 or $6", "$a_1$", r"a\$b$", "two\nlines", "plain"]
    plots.confusion_matrix(tmp_path / "a.png", counts=np.eye(6), labels=names, title="$\\x$")
    plots.exit_histogram(tmp_path / "b.png", shares=dict.fromkeys(names, (0.5, 0.5)), title="$^$")
    plots.trade_off(
        tmp_path / "c.png", curve=[(0, 0)], exits=[(1, 1)], points=dict.fromkeys(names, (0.5, 0.5)), title="$$"
    )
    for figure in drawn:
        for text in figure.findobj(Text):
            _, kind = text._preprocess_math(text.get_text())
            assert kind is False
    labels = [text._preprocess_math(text.get_text())[0] for text in drawn[0].axes[0].get_yticklabels()]
    assert labels == [*names[:4], r"two\nlines", "plain"]


def test_exit_histogram_has_a_bar_for_each_exit_and_point(tmp_path, drawn):
    plots.exit_histogram(tmp_path / "a.png", shares={"full": [0, 0, 1], "fast": [0.5, 0.3, 0.2]}, title="t")
    axes = drawn[0].axes[0]
    assert texts(drawn[0]) == ["t", "operating point", "clips that leave here (%)"]
    heights = [[bar.get_height() for bar in bars] for bars in axes.containers]
    assert np.array(heights).T.tolist() == [[0, 0, 100], pytest.approx([50, 30, 20])]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["full", "fast"]


@pytest.mark.parametrize("classes", [2, 40, 120])
def test_confusion_matrix_grows_with_the_classes(tmp_path, drawn, classes):
    counts = 5 * np.eye(classes, dtype=int)
    counts[0, 1] = 15
    labels = [f"word{index}" for index in range(classes)]
    plots.confusion_matrix(tmp_path / "a.png", counts=counts, labels=labels, title="t")
    width, height = size(tmp_path / "a.png")
    # At least 24 pixels for each class, so that a label fits.
    assert min(width, height) >= 24 * classes
    axes = drawn[0].axes[0]
    assert texts(drawn[0]) == ["t", "predicted label", "true label"]
    assert axes.images[0].get_array()[0, :2].tolist() == [25, 75]
    assert {text.get_text() for text in axes.texts} == {"5", "15"}
    assert len(axes.texts) == classes + 1


def test_a_class_without_clips_and_a_label_that_the_font_lacks_are_drawn(tmp_path):
    plots.confusion_matrix(tmp_path / "a.png", counts=[[0, 0], [1, 2]], labels=["は い", "no"], title="t")
    assert (tmp_path / "a.png").exists()


def test_many_exits_and_points_do_not_run_out_of_colours(tmp_path):
    shares = {f"point{index}": np.full(11, 1 / 11) for index in range(10)}
    plots.exit_histogram(tmp_path / "a.png", shares=shares, title="t")
    points = {name: (0.5, 0.9) for name in shares}
    plots.trade_off(tmp_path / "b.png", curve=[(0, 0), (1, 1)], exits=[(0.1, 0.1)] * 11, points=points, title="t")
    assert (tmp_path / "a.png").exists() and (tmp_path / "b.png").exists()


def test_without_matplotlib_the_pip_command_is_given(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingPackageError, match=r"drawing plots needs the package matplotlib: pip install '"):
        plots.exit_histogram(tmp_path / "a.png", shares={"full": [1.0]}, title="t")
    assert list(tmp_path.iterdir()) == []


def test_one_clip_is_not_coloured_as_many(tmp_path, drawn):
    plots.confusion_matrix(tmp_path / "a.png", counts=[[0, 1], [10, 10]], labels=["rare", "usual"], title="t")
    (figure,) = drawn
    colours = figure.axes[0].images[0].get_array()
    assert colours[0, 1] < 0.2 * colours[1, 0]
