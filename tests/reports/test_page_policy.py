"""Every page allows nothing from outside, runs its own scripts only, and works with that when opened from a file."""

import re

import pytest

from ceco3d.reports.leaderboard import read_leaderboard
from ceco3d.reports.leaderboard_html import leaderboard_html
from ceco3d.reports.run_report import write_run_report
from ceco3d.visualization.page import viewer_page
from tests.helpers.run_folder import write_log, write_run
from tests.helpers.viewer import square

POLICY = re.compile(
    r"default-src 'none'; script-src (?:'sha256-[A-Za-z0-9+/]{43}=' ?)+; style-src 'unsafe-inline'; img-src data:; "
    r"base-uri 'none'; form-action 'none'"
)
# What a page would do that has a script of somebody else in it; "blocked" counts what the browser refused.
ATTACK = """async () => {
  let blocked = 0;
  document.addEventListener("securitypolicyviolation", () => blocked++);
  const script = document.createElement("script");
  script.textContent = "window.attacked = true";
  document.body.append(script);
  document.body.insertAdjacentHTML("beforeend", '<img src="https://example.org/a.png"><p onclick="attacked = true">');
  document.body.lastElementChild.click();
  await fetch("https://example.org/").catch(() => 0);
  await new Promise(done => setTimeout(done, 100));
  return [blocked, window.attacked ?? false];
}"""


@pytest.fixture(params=["report", "leaderboard", "viewer"])
def page_file(request, tmp_path):
    """A page of each kind."""
    path = tmp_path / "page.html"
    if request.param == "viewer":
        path.write_text(viewer_page(square()), encoding="utf-8")
        return path
    runs = [write_run(tmp_path / name, name=name) for name in ("a", "b")]
    if request.param == "leaderboard":
        path.write_text(leaderboard_html(read_leaderboard(runs)), encoding="utf-8")
        return path
    return write_run_report(runs[0], None)


def test_the_policy_comes_first_and_allows_nothing_else(page_file):
    page = page_file.read_text(encoding="utf-8")
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    assert POLICY.fullmatch(policy)
    assert page.index("Content-Security-Policy") < min(page.index("<style"), page.index("<script"))
    assert not re.search(r"<[^>]*\son[a-z]+=", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))


def test_what_gets_into_a_page_is_blocked(browser, page_file):
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(page_file.as_uri())
        blocked, attacked = page.evaluate(ATTACK)
        assert (blocked >= 4, attacked) == (True, False)
    finally:
        context.close()


def test_the_leaderboard_sorts(show, tmp_path):
    runs = [write_run(tmp_path / name, name=name) for name in ("a", "b")]
    (tmp_path / "board.html").write_text(leaderboard_html(read_leaderboard(runs)), encoding="utf-8")
    page = show(tmp_path / "board.html")
    names = page.locator("tbody.rows").first.locator("th")
    page.get_by_role("button", name="name").click()
    first = names.all_inner_texts()
    page.get_by_role("button", name="name").click()
    assert [names.all_inner_texts(), sorted(first)] == [first[::-1], ["a", "b"]]


def test_a_chart_of_the_largest_numbers_can_be_used(show, tmp_path):
    run = write_run(tmp_path / "run")
    write_log(run, seconds=True)
    log = (run / "metrics.csv").read_text()
    log = re.sub(r"^(7,1,0.01),93,", r"\1,1e308,", log, flags=re.MULTILINE)
    log = re.sub(r"^(8,1,0.01),92,", r"\1,-1e308,", log, flags=re.MULTILINE)
    (run / "metrics.csv").write_text(log)
    page = show(write_run_report(run, None))
    chart = page.locator(".chart").first
    labels = chart.locator(".ys span").all_inner_texts()
    assert labels == ["-1e308", "-5e307", "0", "5e307", "1e308"]
    line = chart.locator('path[data-k="0"]').first.get_attribute("d")
    for _ in range(2):
        chart.get_by_role("button", name=re.compile("^ce ")).press("Enter")
    assert chart.locator(".ys span").all_inner_texts() == labels
    assert chart.locator('path[data-k="0"]').first.get_attribute("d") == line
    page.locator(".plot").first.focus()
    page.keyboard.press("Home")
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    assert page.locator(".readout").first.inner_text().split("\n")[1:3] == ["loss", "1e308"]
