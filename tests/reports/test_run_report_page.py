"""The page of a run's report: what it says of every kind of run, and how it looks and works in a browser."""

import json
import re
import shutil

import numpy as np
import pytest

from ceco3d.reports import run_report_kept as kept
from ceco3d.reports.run_report import write_run_report
from ceco3d.reports.run_report_charts import MAX_POINTS, loss_terms, thin, ticks, training_charts
from ceco3d.runs.folder import read_curves
from ceco3d.utils.errors import UserError
from tests.helpers.run_folder import EPOCHS, SPACE, STEPS, TERMS, write_config, write_log, write_run, write_scores

PHONE, DESKTOP = (390, 844), (1280, 900)
READABLE = 4.5  # contrast of text, WCAG AA


def report(folder, ended=""):
    return write_run_report(folder, None, ended).read_text()


def banner(page):
    return re.sub("<[^>]*>", " ", page.partition('class="banner"')[2].partition("</div>")[0])


def test_a_finished_run_has_no_banner_and_explains_its_numbers(tmp_path):
    page = report(write_run(tmp_path))
    assert 'class="banner"' not in page
    for term in (
        "present",
        "union",
        "zero_filled",
        "head, common, tail",
        "split",
        "test-time augmentation",
        "voxel size",
    ):
        assert f"<dt>{term}</dt>" in page
    assert "<dt>ceco</dt><dd>center collapse" in page
    assert "its weight in the loss is 0.1" in page


@pytest.mark.parametrize("has", ["metrics.csv", "config.yaml", "metrics.json"])
def test_a_run_with_one_file_is_reported(tmp_path, has):
    write_run(tmp_path / "whole")
    (tmp_path / "run").mkdir()
    shutil.copy(tmp_path / "whole" / has, tmp_path / "run")
    page = report(tmp_path / "run")
    expected = {
        "metrics.csv": (f"interrupted at epoch {EPOCHS}, step {EPOCHS * STEPS}", "<h2>Training</h2>"),
        "config.yaml": (f"interrupted at epoch 0 of {EPOCHS}, before the first logged step", "ceco on rooms200"),
        "metrics.json": ("", "<h2>Scores</h2>"),
    }
    assert expected[has][0] in banner(page)
    assert expected[has][1] in page


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="no run in it"):
        report(tmp_path)


@pytest.mark.parametrize("lock", [None, {"process": {"pid": 12, "host": "node<7>"}}])
def test_a_run_without_an_end_is_called_unfinished(tmp_path, lock):
    write_run(tmp_path, done=2, scored=False)
    if lock is None:
        said = f"Not finished: interrupted at epoch 2 of {EPOCHS}, step 50, or still running"
    else:
        (tmp_path / "run.lock").write_text(json.dumps(lock))
        said = f"In progress at epoch 2 of {EPOCHS}, step 50, or killed"
    page = report(tmp_path)
    assert said in banner(page)
    assert ("Process 12 on node&lt;7&gt; holds the folder" in page) == (lock is not None)


def test_a_finished_run_that_went_on_is_not_called_finished(tmp_path):
    write_run(tmp_path, epochs=8)
    assert f"epoch {EPOCHS} of 8" in banner(report(tmp_path))
    assert "The final scores below are those of an earlier end" in banner(report(tmp_path))


def test_why_a_run_ended_is_known_until_it_goes_on(tmp_path):
    write_run(tmp_path, done=2, scored=False)
    report(tmp_path, ended="stopped by SIGTERM")
    assert "Interrupted at epoch 2 of 4, step 50" in banner(report(tmp_path))
    assert "stopped by SIGTERM" in banner(report(tmp_path))
    write_log(tmp_path, 3)
    assert "SIGTERM" not in report(tmp_path)


def test_a_section_whose_files_are_gone_is_kept(tmp_path):
    write_run(tmp_path)
    before = kept.read_page(write_run_report(tmp_path, None))
    for name in ("metrics.json", "confusion.npz", "metrics.csv"):
        (tmp_path / name).unlink()
    page = report(tmp_path)
    assert page.count("Kept from the report of ") == 5
    after = kept.read_page(tmp_path / "report.html").sections
    for name in ("scores", "training", "collapse", "classes", "confusion"):
        assert after[name].endswith(before.sections[name])


def test_another_run_in_the_folder_keeps_nothing(tmp_path):
    write_run(tmp_path)
    report(tmp_path)
    (tmp_path / "confusion.npz").unlink()
    write_config(tmp_path, voxel_size=0.05)
    assert "<h2>Confusion" not in report(tmp_path)


def test_what_is_kept_of_a_page_cannot_run_scripts(tmp_path):
    page = tmp_path / "report.html"
    page.write_text(
        '<meta name="ceco3d-run" content="a"><section id="pictures"><h2>Old</h2><p onclick="alert(1)">a &lt;b&gt;</p>'
        '<script>alert(2)</script><img src="https://x.org/y.png" alt="z"><img src="data:image/png;base64,AAAA">'
        '<iframe src="https://x.org"></iframe><a href="javascript:alert(3)">text</a><i style="background:url(x)">b</i>'
        '<i style="background:#00ff00">c</i></div><div>open</section>'
    )
    found = kept.read_page(page)
    assert found.meta == {"run": "a"}
    assert found.sections["pictures"] == (
        '<p>a &lt;b&gt;</p><img alt="z"><img src="data:image/png;base64,AAAA">text<i>b</i>'
        '<i style="background:#00ff00">c</i><div>open</div>'
    )


def test_names_from_files_cannot_break_the_page(tmp_path):
    evil = "<script>alert(1)</script>"
    write_run(tmp_path, name=evil, model={"name": evil}, loss={"name": evil})
    text = (tmp_path / "metrics.csv").read_text()
    (tmp_path / "metrics.csv").write_text(text.replace(",ce,", f",{evil},", 1))
    (tmp_path / "environment.json").write_text(json.dumps({"command": evil, "device": evil}))
    write_scores(tmp_path / f"evaluate-{evil.replace('/', '')}")
    assert "<script>alert" not in report(tmp_path)


def test_every_evaluation_of_the_run_has_its_rows(tmp_path):
    write_run(tmp_path)
    write_scores(tmp_path / "evaluate-val", 0.5)
    (tmp_path / "evaluate-val/evaluation.json").write_text(json.dumps({"split": "val", "views": [{}] * 24}))
    page = report(tmp_path)
    assert "evaluate-val (24 views of each scene)" in page
    assert "<td>50.0</td>" in page


def test_steps_without_a_finite_loss_are_named(tmp_path):
    write_run(tmp_path, scored=False, done=1)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("26,2,0.01,nan,nan,1,1.5,20000,,,\n")
    assert "The loss was not finite at 1 of the logged steps (26)" in report(tmp_path)


def test_any_loss_term_of_the_log_appears_in_the_charts_by_its_name(tmp_path):
    others = ",".join(f"term{i}" for i in range(20))
    header = f"step,epoch,seconds,lr,loss,my_term,grad_norm,val_miou,{others}"
    (tmp_path / "metrics.csv").write_text(
        f"{header}\n1,1,5,0.1,3.5,1.25,9,,{'2,' * 19}2\n2,1,9,0.1,3.25,1.125,9,,{'1,' * 19}1\n"
    )
    curves = read_curves(tmp_path)
    assert loss_terms(curves) == ["loss", "my_term", *others.split(",")]
    chart = training_charts(curves).partition("</figure>")[0]
    data = json.loads(re.search(r'data-chart="([^"]*)"', chart)[1].replace("&quot;", '"'))
    assert [series["name"] for series in data["series"]] == ["loss", "my_term", *others.split(",")]
    assert data["series"][1] == {"name": "my_term", "x": [1, 2], "y": [1.25, 1.125]}
    assert data["times"] == [[1, 5], [2, 9]]


def test_long_curves_keep_their_ends_and_their_spikes():
    values = np.sin(np.arange(50_000) / 500)
    values[33_333] = 99.0
    points = np.stack([np.arange(50_000), values], 1)
    kept_points = thin(points)
    assert len(kept_points) <= MAX_POINTS + 2
    assert kept_points[[0, -1], 0].tolist() == [0, 49_999]
    assert [33_333, 99.0] in kept_points.tolist()
    assert (np.diff(kept_points[:, 0]) > 0).all()


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 47), (1e-9, 4e-9), (0.999, 1.001), (0, 123_456)])
def test_ticks_are_few_round_and_inside(low, high):
    found = ticks(low, high)
    assert 2 <= len(found) <= 7
    assert all(low - 1e-9 * (high - low) <= value <= high * (1 + 1e-9) for value in found)


@pytest.fixture
def path(tmp_path):
    """The report of an interrupted run that has everything, with a long name."""
    write_run(tmp_path, name="a-run-with-a-name-that-is-longer-than-a-phone-is-wide-" + "x" * 40, epochs=8)
    write_log(tmp_path, seconds=True)
    write_scores(tmp_path / "evaluate-val", 0.5)
    (tmp_path / "environment.json").write_text(json.dumps({"command": "python " + "y" * 200, "device": "cpu"}))
    return write_run_report(tmp_path, None, "stopped by SIGTERM")


@pytest.mark.parametrize("size", [PHONE, DESKTOP, (320, 600)])
def test_the_page_is_never_wider_than_the_screen(show, path, size):
    page = show(path, size)
    page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_a_chart_shows_the_values_at_the_cursor(show, path, size):
    page = show(path, size, has_touch=True)
    plot = page.locator(".plot").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    step = 1 + round(0.25 * (EPOCHS * STEPS - 1))
    across = box["x"] + (step - 1) / (EPOCHS * STEPS - 1) * box["width"]
    if size == PHONE:
        page.touchscreen.tap(across, box["y"] + box["height"] / 2)
    else:
        page.mouse.move(across, box["y"] + box["height"] / 2)
    readout = page.locator(".readout").first
    shown = readout.inner_text().split("\n")
    loss = 100 - step
    assert shown[0] == f"step {step} · epoch 2 · {2 * step} s"
    assert shown[1:] == [
        text for name, value in zip(TERMS, (loss, loss / 2, loss / 10), strict=True) for text in (name, f"{value:g}")
    ]
    inside = readout.bounding_box()
    assert inside["x"] >= 0
    assert inside["x"] + inside["width"] <= size[0]


def test_the_cursor_of_a_chart_moves_with_the_keys(show, path):
    page = show(path)
    page.locator(".plot").first.focus()
    readout = page.locator(".readout").first
    for key, step in (("ArrowLeft", 100), ("ArrowLeft", 99), ("Home", 1), ("ArrowRight", 2), ("End", 100)):
        page.keyboard.press(key)
        assert readout.inner_text().startswith(f"step {step} ·")
    page.keyboard.press("Escape")
    assert readout.inner_text() == ""


def test_a_series_can_be_hidden_and_the_axis_follows(show, path):
    page = show(path)
    chart = page.locator(".chart").first
    top = chart.locator(".ys span").last.inner_text()
    for name in ("loss", "ce"):
        chart.get_by_role("button", name=re.compile(f"^{name} ")).press("Enter")
    assert float(chart.locator(".ys span").last.inner_text()) < float(top) / 5
    assert chart.locator('path[data-k="0"]').first.is_hidden()
    page.locator(".plot").first.focus()
    page.keyboard.press("End")
    assert page.locator(".readout").first.inner_text().split("\n")[1:] == ["ceco", "0"]


def test_the_charts_are_drawn_without_scripts(show, path):
    page = show(path, java_script_enabled=False)
    chart = page.locator(".chart").first
    assert chart.locator('path[data-k="0"]').first.bounding_box()["width"] > 300
    assert chart.locator(".series").inner_text().split() == ["loss", "0", "ce", "0", "ceco", "0"]
    assert chart.locator(".ys span").count() >= 3
    assert page.locator(".tools").is_hidden()


def test_classes_are_found_and_sorted(show, path):
    page = show(path)
    rows = page.locator("table.classes tbody tr:visible")
    assert rows.count() == len(SPACE)
    page.get_by_label("find a class").fill("CHAIR")
    expected = {name for name in SPACE.names if "chair" in name}
    assert set(page.locator("table.classes tbody tr:visible th").all_inner_texts()) == expected
    assert page.locator("output").inner_text() == f"{len(expected)} of 200 classes"
    page.get_by_label("find a class").fill("")
    page.get_by_label("head", exact=True).uncheck()
    assert rows.count() == len(SPACE) - len(SPACE.groups["head"])
    page.get_by_role("button", name="IoU in percent").click()
    values = [float(value) for value in page.locator("td.fill").evaluate_all("all => all.map(td => td.dataset.value)")]
    assert values == sorted(values, reverse=True)


CONTRASTS = """
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const paint = colors => {
    canvas.clearRect(0, 0, 1, 1);
    colors.forEach(color => { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); });
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility() || ["SCRIPT", "STYLE"].includes(element.tagName)) continue;
    const behind = [];
    for (let at = element; at; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor);
    found.push([node.data.trim().slice(0, 40), paint([...behind, getComputedStyle(element).color]), paint(behind)]);
  }
  return found;
}
"""


def luminance(color):
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (c / 255 for c in color)]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(show, path, scheme):
    page = show(path, scheme=scheme)
    page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true; })")
    page.locator(".plot").first.focus()
    page.keyboard.press("End")
    found = page.evaluate(CONTRASTS)
    assert len(found) > 500
    page_color = found[0][2]
    assert (luminance(page_color) < 0.1) == (scheme == "dark")
    weak = []
    for text, ink, behind in found:
        dark, light = sorted((luminance(ink), luminance(behind)))
        if (light + 0.05) / (dark + 0.05) < READABLE:
            weak.append((text, ink, behind))
    assert weak == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_of_charts_stand_out_from_the_page(show, path, scheme):
    page = show(path, scheme=scheme)
    value = "getComputedStyle(document.documentElement).getPropertyValue"
    colors = [page.evaluate(f"{value}('--c{k}').trim()") for k in range(8)]
    behind = luminance((22, 25, 29) if scheme == "dark" else (255, 255, 255))
    for color in colors:
        dark, light = sorted((luminance(bytes.fromhex(color[1:])), behind))
        assert (light + 0.05) / (dark + 0.05) > 3
