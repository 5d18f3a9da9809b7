"""The page of a session in a real browser; `open_page` fails on errors in the console and on any request."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_timeline import HOSTILE, ROOT, event, page_of

pytestmark = pytest.mark.browser

OpenPage = Callable[..., Any]  # (path, dark=False) -> a page of Playwright
LEAST_CONTRAST = 4.5  # WCAG 2.2, level AA

# The contrast of each text with what is behind it, by the text.
CONTRASTS = """() => {
  const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = element => {
    if (element.closest('a.bad')) return numbers(getComputedStyle(document.querySelector('.stay')).fill);
    for (let at = element; at; at = at.parentElement) {
      const found = numbers(getComputedStyle(at).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const result = {};
  for (const element of document.querySelectorAll('body *')) {
    const text = [...element.childNodes].filter(one => one.nodeType === 3).map(one => one.data.trim()).join('');
    if (!text || element.closest('defs') || element.tagName === 'title') continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(numbers(element.closest('svg') ? style.fill : style.color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    result[text.slice(0, 40)] = Math.min(ratio, result[text.slice(0, 40)] ?? 99);
  }
  return result;
}"""

# Pairs of words in the drawing that cover each other, and words that stand out of it.
COVERED = """() => {
  const all = [...document.querySelectorAll('.scroll text')].map(one => [one.textContent, one.getBoundingClientRect()]);
  const { left, right } = document.querySelector('.scroll svg').getBoundingClientRect();
  const outside = all.filter(([, a]) => a.left < left || a.right > right).map(([text]) => text);
  const pairs = all.flatMap(([one, a], n) => all.slice(n + 1)
    .filter(([, b]) => a.left < b.right && b.left < a.right && a.top + 1 < b.bottom - 1 && b.top + 1 < a.bottom - 1)
    .map(([other]) => `${one} | ${other}`));
  return [...outside, ...pairs];
}"""


def busy() -> str:
    """The page of somebody who had a bad day on several pages."""
    kinds: list[dict[str, Any]] = [
        {"EventModFrustrated": "1", "EventModError": "1"},
        {"EventModFrustrated": "2", "EventModDead": "1"},
        {"EventType": "exception"},
        {"EventType": "thrash"},
        {"EventType": "change"},
        {"EventType": "navigate"},
        {"EventType": "abandon"},
    ]
    rows = [
        event(n * 1.7, PageUrl=f"https://a.example/a/rather/long/address/of/page/{n // 9}", **kinds[n % len(kinds)])
        for n in range(60)
    ]
    return page_of(*[{"EventTargetText": f"button {n}", **row} for n, row in enumerate(rows)], root=ROOT)


def written(folder: Path, content: str) -> Path:
    """A file with this content."""
    path = folder / "page.html"
    path.write_text(content, "utf-8")
    return path


def test_hostile_session_runs_nothing(open_page: OpenPage, tmp_path: Path) -> None:
    """Whoever looks at a session would run what its visitor typed."""
    columns = ("EventTargetText", "EventType", "PageUrl", "UserDisplayName", "EventCustomName", "CustomVars")
    rows = [event(n, **dict.fromkeys(columns, text)) for n, text in enumerate(HOSTILE)]

    page = open_page(written(tmp_path, page_of(*rows, root=ROOT)))

    assert len(HOSTILE) == page.locator("tr[id]").count()
    assert 0 == page.locator("script, img, [onerror], [onmouseover], body [style]").count()
    assert "“</script><script>alert(1)</script>”" == page.locator("#e1 bdi").inner_text()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_can_be_read(open_page: OpenPage, tmp_path: Path, dark: bool) -> None:
    """In the evening, or in bright sun, words could not be told from what is behind them."""
    page = open_page(written(tmp_path, busy()), dark=dark)

    contrasts = page.evaluate(CONTRASTS)

    assert {"What went wrong", "form abandoned", "mouse thrash"} <= contrasts.keys()
    assert any(text.startswith("rage ×") for text in contrasts)
    assert {} == {text: ratio for text, ratio in contrasts.items() if ratio < LEAST_CONTRAST}
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark == (background != "rgb(255, 255, 255)")


def test_words_do_not_cover_each_other(open_page: OpenPage, tmp_path: Path) -> None:
    """Letters are as wide as the fonts of the machine make them: two words upon each other cannot be read."""
    page = open_page(written(tmp_path, busy()))

    assert [] == page.evaluate(COVERED)
    assert page.locator(".scroll a.bad").count() > 5


def test_keyboard_leads_to_what_went_wrong(open_page: OpenPage, tmp_path: Path) -> None:
    """Who has no mouse would have to go through all rows."""
    page = open_page(written(tmp_path, busy()))

    page.keyboard.press("Tab")
    assert f"{ROOT}1:2" == page.evaluate("document.activeElement.href")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    row = page.locator("tr:target")
    assert "rage click 1, error" in row.inner_text()
    top = row.evaluate("row => row.getBoundingClientRect().top")
    assert 0 <= top < page.viewport_size["height"]
    page.keyboard.press("Shift+Tab")
    assert "none" != page.evaluate("getComputedStyle(document.activeElement).outlineStyle")


def test_narrow_screen_shows_all(open_page: OpenPage, tmp_path: Path) -> None:
    """On a telephone the page would slide away sideways, or a row be a letter wide."""
    page = open_page(written(tmp_path, busy()))

    page.set_viewport_size({"width": 360, "height": 700})

    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("#e1 td:nth-child(4)").bounding_box()["width"] > 150


def test_long_session_opens(open_page: OpenPage, tmp_path: Path) -> None:
    """Robots click ten thousand times: the browser would stop answering."""
    kinds: list[dict[str, Any]] = [{"EventModError": "1"}, {"EventType": "change"}, {}, {"EventType": "custom"}]
    rows = [event(n, PageUrl=f"https://a.example/{n // 7 % 50}", **kinds[n % 4]) for n in range(10_000)]

    page = open_page(written(tmp_path, page_of(*[{"EventModError": "", **row} for row in rows])))

    assert 10_000 == page.locator("tr[id]").count()
    assert page.locator(".mark").count() < 2000
    assert [] == page.evaluate(COVERED)
