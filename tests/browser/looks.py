"""What a person sees of a page, measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Every text that is drawn, with the contrast to what is behind it: as WCAG 2 counts it.
CONTRASTS = """() => {
  const rgba = (text) => {
    const numbers = text.match(/[\\d.]+/g).map(Number);
    return numbers.length === 3 ? [...numbers, 1] : numbers;
  };
  const luminance = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((one) => {
      const part = one / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const found = rgba(getComputedStyle(one).backgroundColor);
      if (found[3] === 1) return found;
    }
    return [255, 255, 255, 1];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const said = walker.currentNode.textContent.trim();
    if (!said || !element.checkVisibility() || element.closest("script, style, noscript, title")) continue;
    const style = getComputedStyle(element);
    const colour = rgba(element.closest("svg") ? style.fill : style.color);
    const [light, dark] = [luminance(colour), luminance(behind(element))].sort((a, b) => b - a);
    found.push([said.slice(0, 40), (light + 0.05) / (dark + 0.05)]);
  }
  return found;
}"""
ENOUGH = 4.5


def contrasts(page: Page) -> dict[str, float]:
    """Return the contrast of each text that can be seen, by its beginning."""
    found: dict[str, float] = {}
    for said, contrast in page.evaluate(CONTRASTS):
        found[said] = min(contrast, found.get(said, contrast))
    return found


def too_faint(page: Page) -> dict[str, float]:
    """Return the texts that are hard to read."""
    return {said: contrast for said, contrast in contrasts(page).items() if contrast < ENOUGH}


def is_wider_than_its_window(page: Page) -> bool:
    """Return whether the page as a whole has to be moved sideways to be read."""
    width: Any = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return bool(width > 0)
