"""The page in a browser: its figures are those of `metrics` and the exit rule, and it can be used in every way."""

import json

import numpy as np
import pytest
from report_source import POINTS, made_source

from bnn_exit import metrics
from bnn_exit.policies import rule
from bnn_exit.report.page import page

LABELS = (
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "a & b <b>",
    "$$x$$",
)
CHARTS = ("cost", "time", "shares", "confusion", "reliability", "classes")


def opened(browser, path):
    """Open the page of a file, wide, and wait until the charts in sight are drawn."""
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get_log("browser")
    browser.get(path.as_uri())
    settled(browser)
    return browser


def settled(browser):
    wait = """
        const done = arguments[0], root = document.documentElement;
        const drawn = () => Promise.all(opening.values()).then(() => done());
        const look = () => (root.dataset.ready ? drawn() : setTimeout(look, 20));
        look();
    """
    browser.execute_async_script(wait)


@pytest.fixture(scope="module")
def source():
    return made_source(clips=240, classes=6)


@pytest.fixture(scope="module")
def path(source, tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(page(source), encoding="utf-8")
    return file


@pytest.fixture
def shown(browser, path):
    yield opened(browser, path)
    assert errors(browser) == []


def errors(browser):
    return [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def figure(browser, name):
    return float(browser.find_element("id", name).get_attribute("data-value"))


def check_figures(browser, source, thresholds):
    """All that the page shows at these thresholds against the functions that `evaluate` uses."""
    limits = rule.check_thresholds(thresholds, exits=3, skips=source.costs.skipped is not None)
    left = rule.exit_indices(source.scores, limits)
    predicted = rule.predicted_labels(source.probabilities, left)
    mean = metrics.mean_cost(rule.outcomes(source.scores, limits), source.costs)
    accuracy = metrics.accuracy(predicted, source.labels)
    assert figure(browser, "accuracy") == accuracy
    assert browser.find_element("id", "accuracy").text == f"{100 * accuracy:.2f} %"
    shares = metrics.exit_shares(left, exits=3)
    assert [figure(browser, f"share-{k + 1}") for k in range(3)] == shares.tolist()
    assert figure(browser, "ops") == pytest.approx(mean["ops"], rel=1e-12)
    assert figure(browser, "ops-share") == pytest.approx(mean["ops"] / source.costs[-1].ops, rel=1e-12)
    assert figure(browser, "binary-macs") == pytest.approx(mean["binary_macs"], rel=1e-12)
    assert figure(browser, "float-macs") == pytest.approx(mean["float_macs"], rel=1e-12)
    exits = source.report.exits
    assert figure(browser, "time") == pytest.approx(shares @ [each.time_us.mean for each in exits])
    assert figure(browser, "front-end-time") == pytest.approx(shares @ [each.front_end_us.mean for each in exits])
    whole = shares @ [each.whole_us.mean for each in exits]
    assert figure(browser, "whole-time") == pytest.approx(whole)
    assert browser.find_element("id", "whole-time").text == f"{whole:.1f} µs"
    matrix = metrics.confusion_matrix(predicted, source.labels, num_classes=6)
    assert browser.execute_script("return confusionOf(state.left)") == matrix.tolist()
    names = source.report.labels
    wrong = {(names[i], names[j], str(matrix[i, j])) for i, j in np.argwhere(matrix) if i != j}
    rows = browser.execute_script(
        "return [...document.querySelectorAll('#confusion-table tbody tr')]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    assert {tuple(row[:3]) for row in rows} == wrong


def move(browser, slider, value):
    """What a hand does to a slider."""
    browser.execute_script(
        "const s = document.getElementById(arguments[0]); s.value = arguments[1];"
        "s.dispatchEvent(new Event('input', {bubbles: true}))",
        slider,
        str(value),
    )


@pytest.mark.parametrize("threshold", [0, 0.001, 0.237, 0.5, 0.812, 1, 1.001])
def test_the_shared_slider_gives_the_figures_of_evaluate(shown, source, threshold):
    move(shown, "slider-0", threshold)
    check_figures(shown, source, [threshold, threshold])


@pytest.mark.parametrize("thresholds", [(0.2, 0.6), (0, 0.35), (0.7, 0), (1.001, 0.1)])
def test_a_slider_for_each_exit_gives_the_figures_of_evaluate(shown, source, thresholds):
    move(shown, "slider-1", thresholds[0])
    move(shown, "slider-2", thresholds[1])
    check_figures(shown, source, thresholds)


def test_a_skip_gate_has_a_slider_of_its_own(browser, tmp_path):
    source = made_source(clips=240, classes=6, skips=True)
    file = tmp_path / "gated.html"
    file.write_text(page(source), encoding="utf-8")
    shown = opened(browser, file)
    for thresholds in ((0.2, 0.6, 0.0), (0.2, 0.6, 0.4), (0.7, 0.0, 0.8), (0.5, 0.5, 1.001)):
        for number, value in enumerate(thresholds):
            move(shown, f"slider-{number + 1}", value)
        check_figures(shown, source, thresholds)
        skipped = int((rule.outcomes(source.scores, thresholds) == 3).sum())
        row = shown.execute_script("return [...document.querySelector('#shares-table tbody').rows].at(-1).textContent")
        assert row.startswith(f"of these sent past the early heads{skipped}")
    # The shared slider moves the exits, and the gate stays.
    move(shown, "slider-0", 0.3)
    check_figures(shown, source, (0.3, 0.3, 1.001))
    shown.execute_script("document.querySelector('#points button').click()")
    name = next(iter(source.report.operating_points))
    check_figures(shown, source, source.report.operating_points[name].thresholds)
    assert source.report.operating_points[name].skipped_share == pytest.approx(figure_of_gate(source), abs=1e-12)
    assert errors(shown) == []


def figure_of_gate(source):
    """The share of clips that the gate of `made_source` sends on."""
    return float((source.scores[:, -1] < np.float32(0.3)).mean())


def test_a_threshold_that_is_a_score_does_not_leave_there(shown, source):
    # The shortest decimals that give a float32 lie above it or below: without rounding them, the first would leave.
    above = np.array([float(str(score)) > float(score) for score in source.scores[:, 0]])
    for clip in (above.argmax(), above.argmin()):
        score = source.scores[clip, 0]
        field = shown.find_element("id", "slider-1-exact")
        for text in (str(score), str(np.nextafter(score, np.float32(2)))):
            field.clear()
            field.send_keys(text)
            check_figures(shown, source, [float(text), shown.execute_script("return state.thresholds[1]")])
        leaves = shown.execute_script("return exitsAt([arguments[0], 0])[arguments[1]]", float(str(score)), int(clip))
        assert leaves == 2


@pytest.mark.parametrize("name", POINTS)
def test_an_operating_point_gives_its_measured_figures(shown, source, name):
    shown.execute_script("document.querySelector(`[data-name=${arguments[0]}]`).click()", name)
    check_figures(shown, source, [POINTS[name]] * 2)
    assert figure(shown, "accuracy") == source.report.operating_points[name].accuracy
    pressed = shown.find_elements("css selector", "#points [aria-pressed=true]")
    assert [button.text for button in pressed] == [name]
    move(shown, "slider-1", 0.123)
    assert not shown.find_elements("css selector", "#points [aria-pressed=true]")


def test_the_table_shows_front_end_network_and_both_beside_each_other(shown, source):
    head, *rows = shown.execute_script(
        "return [...document.querySelectorAll('#trade-off-table tr')]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    assert head[4:] == ["front end, mean µs", "network, mean µs", "both, mean µs"]
    times = {row[0]: row[4:] for row in rows}
    named = source.report.operating_points | {f"all at exit {k + 1}": row for k, row in enumerate(source.report.exits)}
    for name, row in named.items():
        assert times[name] == [f"{each.mean:.1f}" for each in (row.front_end_us, row.time_us, row.whole_us)]
    # What the chart shows is the sum.
    shown.execute_script("document.getElementById('time').scrollIntoView()")
    settled(shown)
    words = shown.find_element("css selector", "#time .chart").get_attribute("aria-label")
    assert f"at {figure(shown, 'whole-time'):.1f} µs" in words


def test_a_front_end_in_the_file_has_no_time_of_its_own(browser, tmp_path):
    file = tmp_path / "inside.html"
    file.write_text(page(made_source(clips=40, has_front_end=False)), encoding="utf-8")
    opened(browser, file)
    assert browser.find_element("id", "front-end-time").text == "\u2013"
    assert browser.find_element("id", "whole-time").text == browser.find_element("id", "time").text != "\u2013"
    assert errors(browser) == []


def test_the_page_opens_at_the_balanced_point(shown, source):
    check_figures(shown, source, [POINTS["balanced"]] * 2)


def test_the_charts_follow_the_slider(shown):
    def drawn():
        return shown.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => setTimeout(() => done("
            "document.querySelector('#cost .chart').getAttribute('aria-label'))))"
        )

    move(shown, "slider-0", 0)
    before = drawn()
    move(shown, "slider-0", 0.9)
    after = drawn()
    assert f"now {shown.find_element('id', 'accuracy').text}" in after and before != after


def test_the_keyboard_moves_a_slider_and_the_figures_are_spoken(shown, source):
    from selenium.webdriver.common.keys import Keys

    slider = shown.find_element("id", "slider-0")
    slider.send_keys(Keys.HOME)
    check_figures(shown, source, [0, 0])
    slider.send_keys(Keys.ARROW_RIGHT * 3)
    assert shown.execute_script("return state.thresholds") == [pytest.approx(0.003)] * 2
    slider.send_keys(Keys.END)
    check_figures(shown, source, [1.001, 1.001])
    assert shown.switch_to.active_element.get_attribute("id") == "slider-0"
    outline = shown.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    spoken = shown.execute_async_script(
        "const done = arguments[0], p = document.getElementById('spoken');"
        "const look = () => p.textContent.includes('exit 1 100.0') ? done(p.textContent) : setTimeout(look, 50); look()"
    )
    assert spoken.startswith(f"Accuracy {shown.find_element('id', 'accuracy').text}, mean cost ")
    assert shown.find_element("id", "spoken").get_attribute("role") == "status"


def test_an_impossible_threshold_is_marked_and_changes_nothing(shown, source):
    move(shown, "slider-0", 0.5)
    field = shown.find_element("id", "slider-1-exact")
    field.clear()
    field.send_keys("-1")
    assert field.get_attribute("aria-invalid") == "true"
    check_figures(shown, source, shown.execute_script("return state.thresholds"))
    field.clear()
    field.send_keys("0.25")
    assert field.get_attribute("aria-invalid") == "false"
    check_figures(shown, source, [0.25, 0.5])


def test_every_control_has_a_name_and_every_chart_words_and_a_table(shown):
    nameless = """
        return [...document.querySelectorAll('input, button, audio, img, .chart')].filter((each) =>
          !(each.labels?.length || each.getAttribute('aria-label') || each.alt || each.textContent.trim())).length
    """
    for chart in CHARTS:
        shown.execute_script("document.getElementById(arguments[0]).scrollIntoView()", chart)
        words = shown.execute_async_script(
            "const done = arguments[1], chart = document.querySelector(`#${arguments[0]} .chart`);"
            "const look = () => chart.hasAttribute('aria-label') && chart.firstChild?.shadowRoot !== undefined"
            " ? done(chart.getAttribute('aria-label')) : setTimeout(look, 20); look()",
            chart,
        )
        assert len(words) > 20
        tables = shown.find_elements("css selector", f"section:has(#{chart}) details table")
        assert tables and all(len(table.find_elements("css selector", "tbody tr")) > 1 for table in tables)
    settled(shown)
    assert shown.execute_script("return document.querySelectorAll('.bk-Figure').length") == len(CHARTS)
    assert shown.execute_script(nameless) == 0


def test_light_and_dark_theme_the_page_and_the_charts(shown):
    def colours():
        return shown.execute_async_script(
            "const done = arguments[0]; Promise.all(opening.values()).then((views) => done(["
            "getComputedStyle(document.documentElement).backgroundColor, colour('ink'),"
            "views[0].model.xaxes[0].axis_label_text_color]))"
        )

    light = colours()
    shown.find_element("id", "theme").click()
    shown.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => setTimeout(done, 50))")
    settled(shown)
    dark = colours()
    assert light == ["rgb(255, 255, 255)", "#1a1c1f", "#1a1c1f"]
    assert dark == ["rgb(21, 23, 26)", "#eceef1", "#eceef1"]
    assert shown.find_element("id", "theme").get_attribute("aria-pressed") == "true"


def test_the_system_says_light_or_dark_first(browser, path):
    prefer = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", prefer)
    try:
        assert opened(browser, path).execute_script("return document.documentElement.dataset.theme") == "dark"
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_phone_does_not_scroll_sideways(browser, tmp_path):
    file = tmp_path / "phone.html"
    long = ("a_very_long_label_without_any_space_in_it_at_all", "x" * 120, "short", "Schaltfläche")
    file.write_text(page(made_source(clips=60, labels=long, name="folder/" + "y" * 150)), encoding="utf-8")
    opened(browser, file)
    phone = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    browser.get(file.as_uri())
    settled(browser)
    browser.execute_script("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    for chart in CHARTS:
        browser.execute_script("document.getElementById(arguments[0]).scrollIntoView()", chart)
        browser.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => setTimeout(done, 50))")
    settled(browser)
    assert browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [360, 360]
    assert errors(browser) == []


def test_labels_and_names_are_text_and_nothing_else(browser, tmp_path):
    file = tmp_path / "hostile.html"
    file.write_text(page(made_source(clips=80, labels=LABELS, name="<img src=x onerror='window.hacked = 1'>")), "utf-8")
    opened(browser, file)
    for chart in CHARTS:
        browser.execute_script("document.getElementById(arguments[0]).scrollIntoView()", chart)
        browser.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => setTimeout(done, 50))")
    settled(browser)
    assert browser.execute_script("return window.hacked") is None
    assert errors(browser) == []
    cells = browser.execute_script(
        "return [...document.querySelectorAll('#classes-table tbody tr')].map((row) => row.cells[0].textContent)"
    )
    assert sorted(cells) == sorted(LABELS)
    assert "<img src=x" in browser.find_element("css selector", ".clips .name").get_attribute("textContent")


def test_a_sound_of_the_page_can_be_played(shown):
    seconds = shown.execute_async_script(
        "const done = arguments[0], sound = new Audio(document.querySelector('audio').src);"
        "sound.onloadedmetadata = () => done(sound.duration); sound.onerror = () => done(-1); sound.load()"
    )
    assert seconds == pytest.approx(0.1, abs=0.01)


def test_a_network_of_one_exit_opens(browser, tmp_path):
    file = tmp_path / "one.html"
    source = made_source(clips=40, exits=1)
    file.write_text(page(source), encoding="utf-8")
    opened(browser, file)
    assert figure(browser, "accuracy") == source.report.exits[0].accuracy
    assert not browser.find_elements("css selector", "input")
    assert errors(browser) == []


def test_the_embedded_json_is_what_the_page_reads(shown, source):
    scores = shown.execute_script("return clips.scores.map((each) => [...each])")
    assert json.dumps(np.array(scores).T.tolist()) == json.dumps(source.scores.astype(float).tolist())


def test_one_confused_clip_is_painted_fainter_than_many(shown):
    def strength(number, size, mean):
        return shown.execute_script(f"return strengthOf({number}, {size}, {mean})")

    assert 0.15 < strength(1, 60, 60) < 0.5 * strength(20, 60, 60) < 0.5 * strength(60, 60, 60)
    assert strength(60, 60, 60) == 1
    # A class of one clip, among classes of sixty.
    assert strength(1, 1, 60) == strength(1, 60, 60)
