"""The page that `tap-fullstory-report` writes, in a browser: what a person finds on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tap_fullstory.moments import parse_moment
from tap_fullstory.reports.history import read_history
from tap_fullstory.reports.page import to_html
from tests.browser.conftest import Opener
from tests.browser.looks import contrasts, is_wider_than_its_window, too_faint
from tests.reports import (
    CRASHES,
    EMPTY,
    FIRST,
    GAP,
    LATE,
    LIMITED,
    NOW,
    READ_AGAIN,
    REFUSED,
    bundle,
    day,
    hundred_days,
    later,
    run,
    write,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

Build = Callable[..., Path]
HOSTILE = (
    "</script><script>alert('script')</script><img src=x onerror=alert('image')>\"'><svg onload=alert('svg')>"
    "<!-- <style>*{display:none}</style> \x00\x1b[31m \u202etxt &lt; "
)
# By what a calendar shows: the month in words at its left, and the number of the day above.
CELLS_IN = """([month, number, kind]) => {
  const middle = (one) => {
    const box = one.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  };
  const named = (selector, name) => [...document.querySelectorAll(selector)].find((one) => one.textContent === name);
  const [, y] = middle(named(".calendar .rows text", month));
  const [x] = middle(named(".calendar .heads text", number));
  const path = document.querySelector(`.calendar .${kind} .b`);
  if (!path) return false;
  const svg = path.ownerSVGElement;
  return path.isPointInFill(new DOMPoint(x, y).matrixTransform(svg.getScreenCTM().inverse()));
}"""


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Writes reports, and the page that is made of them."""

    def build(reports: Iterable[dict[str, Any]], now: str = NOW, **files: str) -> Path:
        folder = write(tmp_path / "reports", reports)
        for name, content in files.items():
            (folder / f"{name}.json").write_text(content, "utf-8")
        page = tmp_path / "report.html"
        page.write_text(to_html(read_history(folder), parse_moment(now)), "utf-8")
        return page

    return build


@pytest.fixture
def page(build: Build, open_page: Opener) -> Page:
    """The page of a hundred days."""
    return open_page(build(hundred_days()))


def shows(page: Page, at: str, kind: str) -> bool:
    """Return whether the calendar shows a day as being of a kind, where a person would look for it."""
    return bool(page.evaluate(CELLS_IN, [at[:7], str(int(at[8:10])), kind]))


def minutes(at: str) -> str:
    """Return a moment as the page writes it."""
    return at.replace(":00Z", "Z")


def test_what_a_page_must_not_do_is_noticed(tmp_path: Path, open_page: Opener) -> None:
    """If the fixture saw nothing, no test of pages would find a request or an error."""
    bad = tmp_path / "bad.html"
    bad.write_text("<img src=missing.png><script>console.warn('warned'); missing()</script>", "utf-8")

    page = open_page(bad)
    page.wait_for_load_state("load")

    assert {"request", "warning", "error"} == {one.partition(":")[0] for one in open_page.complaints}
    open_page.complaints.clear()


def test_hundred_days_are_healthy_at_a_glance(page: Page) -> None:
    """Whoever opens the page would not know whether anything has to be done."""
    verdict = page.locator(".verdict").inner_text()
    facts = page.locator(".facts").inner_text()

    assert "Healthy. The last run ended 2026-11-10T01:00Z: complete" in verdict
    assert "not at all" in facts
    assert "2026-11-11T00:00Z" in facts  # when the next is due
    assert "Nothing." in page.locator(".todo").inner_text()
    assert page.locator(".made").inner_text() == f"as of {minutes(NOW)}"


def test_each_thing_of_hundred_days_is_in_the_words_at_the_top(page: Page) -> None:
    """A gap, a crash, a week of rate limits or a new variable would be on the page, and not be found."""
    found = page.locator("#noticed").inner_text()

    assert f"Gap: no bundle from {minutes(day(GAP))} to {minutes(day(GAP + 1))}; given up." in found
    assert "2 runs: killed, or the machine went down." in found
    for crash in CRASHES:
        assert minutes(later(day(crash + 2), hours=0.5)) in found
    assert "2 runs: the key was refused, or may not do this (status 77)." in found
    week = later(day(LIMITED[0] + 2), hours=0.5), later(day(LIMITED[-1] + 2), hours=2.5)
    assert f"Rate limits: 7 runs from {minutes(week[0])} to {minutes(week[1])} mostly waited, 10 h 30 min" in found
    assert f"1 bundle came late, into a gap: {minutes(day(LATE))}." in found
    assert f"1 bundle read again after it was finished: {minutes(day(READ_AGAIN))}." in found
    assert "New custom variables: plan_str." in found


@pytest.mark.parametrize(
    "number, kind",
    [(GAP, "given_up"), (LATE, "late"), (READ_AGAIN, "read_twice"), (EMPTY, "empty"), (0, "arrived"), (100, "future")],
)
def test_calendar_shows_what_became_of_a_day(page: Page, number: int, kind: str) -> None:
    """A person who looks for a day would see that another one is missing."""
    assert shows(page, day(number), kind)
    kinds = ("arrived", "given_up", "late", "read_twice", "empty", "future", "missing", "due")
    assert [kind] == [one for one in kinds if shows(page, day(number), one)]


def test_kinds_differ_without_their_colours(page: Page) -> None:
    """Who sees no colours, or prints in grey, could not tell a gap from a bundle."""
    marks = page.locator(".legend li").evaluate_all(
        "items => items.map(one => one.querySelector('.m')?.getAttribute('d') ?? getComputedStyle("
        "one.querySelector('.b')).strokeDasharray)"
    )

    assert len(marks) == len(set(marks)) == 6


def test_gap_is_told_with_what_to_do(page: Page) -> None:
    """A gap would be seen, and nobody would know whether it matters."""
    said = page.locator("#calendar").inner_text()

    assert f"No bundle from {minutes(day(GAP))} to {minutes(day(GAP + 1))} (1 d)" in said
    assert f"Found by the run of {minutes(later(day(GAP + 3), hours=0.5))}." in said
    assert "ask Fullstory" in said


def test_gap_that_is_still_looked_for_is_to_do(build: Build, open_page: Opener) -> None:
    """While there is still time to ask for a bundle, nobody would be told."""
    lost = [day(1), day(2)]
    runs = [
        run(later(day(2), hours=1), bundles=[bundle(day(0))]),
        run(later(day(4), hours=1), bundles=[bundle(day(2))], gaps=[lost]),
    ]
    page = open_page(build(runs, now=later(day(4), hours=3)))

    assert shows(page, day(1), "missing")
    assert "Worth a look." in page.locator(".verdict").inner_text()
    to_do = page.locator(".todo").inner_text()
    assert "Later runs look again" in to_do and f"1 gap: no bundle covers {lost[0]} to {lost[1]}." in to_do
    assert f"No bundle from {minutes(lost[0])} to {minutes(lost[1])}" in page.locator(".gaps").inner_text()


def test_run_that_went_wrong_says_what_to_do(page: Page) -> None:
    """The list of runs would name a status, and the reader would have to look it up."""
    refused = page.locator(".runs li", has_text=minutes(later(day(REFUSED + 2), hours=0.5)))
    crashed = page.locator(".runs li", has_text=minutes(later(day(CRASHES[0] + 2), hours=0.5)))

    assert "the key was refused, or may not do this (status 77)" in refused.inner_text()
    assert "Fullstory refused the API key (HTTP 403" in refused.inner_text()
    assert "To do: Check the key, its role" in refused.inner_text()
    assert "killed, or the machine went down" in crashed.inner_text()
    assert "The next run goes on from the last state." in crashed.inner_text()


def test_link_leads_to_the_run(page: Page) -> None:
    """Whoever wants to know why a run was killed would have to look through hundreds."""
    at = minutes(later(day(CRASHES[1] + 2), hours=0.5))
    page.locator("#noticed").get_by_role("link", name=at).click()

    entry = page.locator(".runs li:target")
    assert at in entry.inner_text()
    assert 0 <= entry.bounding_box()["y"] < 900  # type: ignore[index]


def test_week_of_rate_limits_is_seen_in_the_chart(page: Page) -> None:
    """Runs that wait for hours would look like all others."""
    bars = page.locator("#duration svg.bars g")
    limited = bars.filter(has=page.locator(".p"))
    tallest = page.locator("#duration .v").evaluate_all("all => Math.max(...all.map(one => one.getBBox().height))")
    waited = limited.locator(".p").evaluate_all("all => all.map(one => one.getBBox().height)")

    assert len(LIMITED) == limited.count()
    assert all(height > tallest / 2 for height in waited)
    assert "1 h 30 min of it waited" in limited.first.locator("title").text_content()  # type: ignore[operator]
    assert 4 == bars.filter(has=page.locator(".x")).count()  # killed twice, refused twice


def test_dates_are_iso_8601(page: Page) -> None:
    """A date that is written in the way of one country is read as another day in the next."""
    dates = page.locator("time").all_text_contents()

    assert len(dates) > 100
    assert [] == [one for one in dates if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z", one)]
    assert not re.search(r"\d[./]\d\d?[./]\d\d", page.locator("body").inner_text())


def test_arrow_keys_go_through_the_calendar(page: Page) -> None:
    """Who has no mouse would see that a bundle is missing, and could not learn which."""
    said = page.locator("#cell")
    page.locator(".calendar").focus()

    page.keyboard.press("Home")
    assert f"{minutes(FIRST)} to {minutes(day(1))}: arrived." in said.inner_text()
    for _ in range(GAP):
        page.keyboard.press("ArrowRight")
    assert f"{minutes(day(GAP))} to {minutes(day(GAP + 1))}: missing: given up" in said.inner_text()
    page.keyboard.press("ArrowLeft")
    assert minutes(day(GAP - 1)) in said.inner_text()
    assert "603 events, 603 records written" in said.inner_text()
    page.keyboard.press("ArrowDown")  # from 30 August to 30 September
    assert "2026-09-30T00:00Z" in said.inner_text()
    page.keyboard.press("ArrowUp")
    assert "2026-08-30T00:00Z" in said.inner_text()
    page.keyboard.press("End")
    assert "in the future" in said.inner_text()
    page.keyboard.press("ArrowUp")  # one month, not to the first
    assert "2026-10-10T00:00Z" in said.inner_text()

    assert "status" == said.get_attribute("role")  # read out as it changes
    assert cursor_is_seen(page)


def test_arrow_keys_go_through_the_charts(page: Page) -> None:
    """The numbers in a chart would be there for the mouse alone."""
    page.locator("#events .scroll").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")

    assert f"{minutes(day(1))} to {minutes(day(2))}: 407 events" == page.locator("#events-at").inner_text()


def test_mouse_tells_what_a_cell_is(page: Page) -> None:
    """Pointing at a gap would tell nothing."""
    cell = page.locator(".calendar .given_up .b")
    cell.scroll_into_view_if_needed()
    box = cell.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    assert "missing: given up" in page.locator("#cell").inner_text()


def test_keys_alone_lead_through_the_page(page: Page) -> None:
    """Who has no mouse would have to pass all links again and again, without seeing where they are."""
    page.keyboard.press("Tab")
    skip = page.locator(".skip")
    assert skip.evaluate("one => one === document.activeElement && one.getBoundingClientRect().x >= 0")
    page.keyboard.press("Enter")
    assert "main" == page.evaluate("document.activeElement.id")

    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        active = "document.activeElement"
        named = (
            f"{active}.getAttribute('aria-label') ?? {active}.getAttribute('aria-labelledby') ?? {active}.textContent"
        )
        seen.append(page.evaluate(named))
        assert "none" != page.evaluate(f"getComputedStyle({active}).outlineStyle"), seen[-1]
        if seen[-1] == "events-title":
            break
    calendar = next(number for number, one in enumerate(seen) if one.startswith("Calendar of bundles."))
    assert "Gap" == seen[0]
    assert "By month" == seen[calendar + 1]


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_can_be_read(build: Build, open_page: Opener, dark: bool) -> None:
    """Somebody at night, or with tired eyes, could not read what went wrong."""
    page = open_page(build([*hundred_days(), failing()], now=later(NOW, hours=1), broken="no report"), dark=dark)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")

    assert len(contrasts(page)) > 150
    assert {} == too_faint(page)
    red, green, blue = map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor")))
    assert dark == (red + green + blue < 3 * 128)


def test_small_screen_shows_the_newest(build: Build, open_page: Opener) -> None:
    """On a telephone the charts would show how all was months ago, and the calendar the empty beginning of a month."""
    runs = [run(later(day(number), hours=1), bundles=[bundle(day(number))]) for number in range(19, 29)]
    page = open_page(build(runs, now=day(30)), width=360)

    for box, newest in ((".calendar", ".cells path"), ("#events .scroll", "g:last-of-type > rect")):
        seen = page.locator(box).bounding_box()
        drawn = page.locator(f"{box} {newest}").last.bounding_box()
        assert seen and drawn
        assert seen["x"] <= drawn["x"] and drawn["x"] + drawn["width"] <= seen["x"] + seen["width"]


def test_small_screen_keeps_moments_apart(build: Build, open_page: Opener) -> None:
    """Two moments beside each other, to the second as those of real runs, would be read as one."""
    page = open_page(build([run(later(day(9), hours=1 / 3600), bundles=[bundle(day(9))])], now=day(10)), width=360)

    wide = "all => all.filter(one => [...one.querySelectorAll('time')].some(at => at.offsetWidth > one.clientWidth))"
    assert [] == page.locator(".facts dd").evaluate_all(f"all => ({wide})(all).map(one => one.textContent)")


def test_small_screen_needs_no_sideways_scrolling(build: Build, open_page: Opener) -> None:
    """On a phone each line would have to be moved to and fro."""
    long = failing(error=f"{HOSTILE * 10} {'x' * 5000}")
    path = build([*hundred_days(), long], now=later(NOW, hours=1), **{"n" * 200: "no report"})
    page = open_page(path, width=360)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")

    assert not is_wider_than_its_window(page)
    page.locator(".calendar").focus()
    page.keyboard.press("Home")
    for _ in range(30):  # to the end of the month: the calendar alone moves
        page.keyboard.press("ArrowRight")
    assert cursor_is_seen(page)
    assert not is_wider_than_its_window(page)


def test_page_can_be_read_without_javascript(build: Build, open_page: Opener) -> None:
    """Where scripts are not allowed, as in some mail programs and viewers, the page would be empty."""
    page = open_page(build(hundred_days()), javascript=False)

    assert "Healthy." in page.locator(".verdict").inner_text()
    assert f"No bundle from {minutes(day(GAP))}" in page.locator(".gaps").inner_text()
    assert "Without JavaScript" in page.locator("#cell").inner_text()
    page.get_by_text("By month").click()
    months = page.locator("#calendar table").inner_text()
    assert "2026-08\t29\t1\t" in months  # 29 arrived, one was empty
    assert "given up" in months
    page.get_by_text("Over time").first.click()
    assert page.locator("#events svg.bars").is_visible()


def test_texts_of_others_do_nothing(build: Build, open_page: Opener) -> None:
    """Whoever may name a custom variable could run a script where the page is read."""
    hostile = failing(
        error=HOSTILE * 100,
        warnings=[HOSTILE],
        custom_variables={"values": {HOSTILE: 1}, "new": [HOSTILE, "fine_str"], "left_out": 0},
        changes={"moved": {HOSTILE: 3}},
        settings={"custom_columns": [HOSTILE, {"name": HOSTILE}]},
    )
    first = run(later(NOW, hours=-1), bundles=[bundle(FIRST)])
    page = open_page(build([first, hostile], now=later(NOW, hours=1), **{"<img src=x>": "{"}))
    page.wait_for_load_state("load")

    assert 0 == page.locator("img, body script:not([type]) ~ script, [onerror], [onload]").count()
    assert "<img src=x onerror=alert('image')>" in page.locator(".error").inner_text()
    assert "\x1b" not in page.content() and "\u202e" not in page.content()
    assert "<img src=x>.json" in page.locator("#unreadable").inner_text()
    assert page.locator(".verdict").is_visible()  # and no style of theirs hides it


def test_new_variable_comes_with_the_line_to_paste(build: Build, open_page: Opener) -> None:
    """One would have to write the setting anew, and lose a column that was in it."""
    runs = hundred_days()
    runs[-1]["settings"]["custom_columns"] = ["visits_int", {"name": "a.b_str", "column": "b"}]
    page = open_page(build(runs))

    assert (
        '"custom_columns": ["visits_int", {"name": "a.b_str", "column": "b"}, "plan_str"]'
        == page.locator("#variables > pre").inner_text()
    )
    assert "plan_str" in page.locator("#variables > .scroll table").inner_text()


def test_quiet_runs_are_folded(build: Build, open_page: Opener) -> None:
    """Who runs the tap every hour would look for the run of the night among those that found nothing."""
    quiet = [run(later(NOW, hours=number), until=day(100)) for number in range(1, 38)]
    page = open_page(build([*hundred_days(), *quiet], now=later(NOW, hours=38)))

    first = page.locator(".runs > li").first
    assert "37 runs found nothing new" in first.inner_text()
    assert not first.get_by_text(minutes(later(NOW, hours=3))).is_visible()
    first.locator("summary").click()
    assert first.get_by_text(minutes(later(NOW, hours=3))).is_visible()


def test_outage_of_a_weekend_is_one_entry(build: Build, open_page: Opener) -> None:
    """Hundreds of lines would say the same, and what came before would be out of sight."""
    down = [run(later(NOW, hours=n), status=69, hours_long=0.9, since=None, error="No answer.") for n in range(1, 50)]
    page = open_page(build([*hundred_days(), *down], now=later(NOW, hours=50)))

    entry = page.locator(".runs > li").first
    assert "Fullstory could not be reached" in entry.inner_text()
    assert f"48 runs before it ended in the same way, the first {minutes(later(NOW, hours=1))}" in entry.inner_text()
    assert "Needs attention." in page.locator(".verdict").inner_text()
    assert "49 runs: Fullstory could not be reached" in page.locator("#noticed").inner_text()
    folded = minutes(later(NOW, hours=48))
    assert not entry.get_by_text(folded, exact=True).is_visible()
    page.locator("#noticed").get_by_role("link", name=folded).click()
    assert entry.get_by_text(folded, exact=True).is_visible()


def test_ten_thousand_bundles_are_seen(build: Build, open_page: Opener) -> None:
    """After fourteen months of hourly bundles the page would take too long, or show days instead of hours."""
    runs = hourly(10_000, gap=range(9_900, 9_903))
    path = build(runs, now=later(FIRST, hours=10_024.5))
    assert path.stat().st_size < 2_000_000

    page = open_page(path)
    said = page.locator("#cell")
    page.locator(".calendar").focus()
    page.keyboard.press("Home")
    assert f"{minutes(FIRST)} to {minutes(later(FIRST, hours=1))}: arrived." in said.inner_text()
    assert cursor_is_seen(page)  # the calendar begins with what is new, and moves
    page.keyboard.press("ArrowDown")  # the same hour of the next day
    assert f"{minutes(day(1))} to" in said.inner_text()
    gap = later(FIRST, hours=9_900), later(FIRST, hours=9_903)
    assert f"No bundle from {minutes(gap[0])} to {minutes(gap[1])} (3 h)" in page.locator(".gaps").inner_text()
    assert "3 missing: no bundle was listed" in page.locator(".legend").inner_text()
    hour = page.evaluate(CELLS_IN, [gap[0][:10], gap[0][11:13], "missing"])
    assert hour and not page.evaluate(CELLS_IN, [gap[0][:10], "01", "missing"])


def test_empty_folder_says_so(build: Build, open_page: Opener) -> None:
    """Somebody who has not set report_dir yet would see a broken page."""
    assert "no report of a run in this folder yet" in open_page(build([])).locator("main").inner_text()


def test_paper_has_it_all(page: Page) -> None:
    """A printed page would end where the calendar could be scrolled."""
    page.emulate_media(media="print")

    assert "none" == page.locator(".calendar").evaluate("one => getComputedStyle(one).maxHeight")
    assert not page.locator("nav").is_visible()


def cursor_is_seen(page: Page) -> bool:
    """Return whether what the arrow keys have come to lies inside what is seen of the calendar."""
    cursor, box = page.locator(".calendar .cursor").bounding_box(), page.locator(".calendar").bounding_box()
    assert cursor and box
    beside = box["x"] <= cursor["x"] and cursor["x"] + cursor["width"] <= box["x"] + box["width"]
    return beside and box["y"] <= cursor["y"] and cursor["y"] + cursor["height"] <= box["y"] + box["height"]


def failing(**more: Any) -> dict[str, Any]:
    """Return a run after `hundred_days` that went wrong."""
    return run(later(NOW, hours=0.1), status=65, since=None, **{"warnings": ["Look at this."], **more})


def hourly(number: int, *, gap: range) -> list[dict[str, Any]]:
    """Return runs that read so many bundles of an hour, a day's at a time, but those of *gap*."""
    hours = [later(FIRST, hours=hour) for hour in range(number + 1)]
    lost = [hours[gap[0]], hours[gap[-1] + 1]]
    runs = []
    for begin in range(0, number, 24):
        end = min(begin + 24, number)
        found = [
            bundle(hours[hour], hours[hour + 1], events=50 + hour % 24) for hour in range(begin, end) if hour not in gap
        ]
        gaps = [lost] if end > gap[-1] else []
        runs.append(run(later(hours[end], hours=24.25), bundles=found, gaps=gaps, until=hours[end]))
    return runs
