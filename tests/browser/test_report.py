"""The report in Chromium: offline, responsive, accessible by keyboard."""

import re

import pytest

WIDTHS = {"wide": (1280, 900), "narrow": (390, 844)}


@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield launched
        launched.close()


@pytest.fixture
def opened(browser, generated):
    """Return a function that opens the page offline and returns it with its console messages and requests."""
    contexts = []

    def open_page(size="wide", scheme="light", path=None):
        width, height = WIDTHS[size]
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, offline=True, reduced_motion="reduce"
        )
        contexts.append(context)
        page, messages = context.new_page(), []
        page.on(
            "console", lambda message: messages.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on(
            "request",
            lambda request: None if request.url.startswith(("file:", "data:")) else messages.append(request.url),
        )
        page.goto(f"file://{path or generated.report}")
        page.wait_for_selector("html[data-ready=true]")
        return page, messages

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("size", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_opens_without_errors_requests_or_horizontal_scrolling(opened, size, scheme):
    page, messages = opened(size, scheme)
    assert messages == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate("document.documentElement.dataset.theme") == scheme


@pytest.mark.parametrize("size", WIDTHS)
def test_every_chart_is_drawn_inside_the_window(opened, size):
    page, _ = opened(size)
    charts = page.evaluate(
        """[...document.querySelectorAll('.chart')].map(c => {
            const svg = c.querySelector('svg.main-svg'), box = c.getBoundingClientRect();
            const marks = c.querySelectorAll('.trace, .sankey-node, .points path, .hm image, g.heatmaplayer').length;
            return {id: c.id, drawn: !!svg && marks > 0, inside: box.right <= innerWidth && box.left >= 0, tall: box.height >= 120};
        })"""
    )
    assert len(charts) >= 9
    assert [chart for chart in charts if not (chart["drawn"] and chart["inside"] and chart["tall"])] == []


def test_charts_have_alternative_text_and_data_table(opened):
    page, _ = opened()
    for chart in page.query_selector_all(".chart"):
        assert len(chart.get_attribute("aria-label")) > 20
        assert chart.evaluate("c => c.parentElement.querySelectorAll('details table tbody tr').length") > 0


def test_keyboard_reaches_skip_link_theme_button_and_every_section(opened):
    page, _ = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.getAttribute('href')"))
    assert reached[0] == "theme"
    anchors = page.eval_on_selector_all("main section[id]", "s => s.map(e => '#' + e.id)")
    assert set(reached) >= set(anchors) - {"#findings"}


def test_theme_button_switches_between_dark_and_light(opened):
    page, messages = opened()
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.focus("#theme")
    page.keyboard.press("Enter")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.keyboard.press("Enter")
    page.wait_for_function("document.documentElement.dataset.theme === 'light'")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == light and messages == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_contrast_meets_wcag_aa(opened, scheme):
    """WCAG AA: every text has a contrast of at least 4.5 to its background."""
    page, _ = opened(scheme=scheme)
    colours = page.evaluate(
        """[...document.querySelectorAll('h1, h2, p, li, th, td, summary, figcaption, nav a, button')].map(e => {
            const isClear = g => getComputedStyle(g).backgroundColor === 'rgba(0, 0, 0, 0)';
            let parent = e; while (isClear(parent)) parent = parent.parentElement;
            return [getComputedStyle(e).color, getComputedStyle(parent).backgroundColor, e.tagName];
        })"""
    )
    assert len(colours) > 100
    assert {tag for foreground, background, tag in colours if contrast(foreground, background) < 4.5} == set()


def contrast(one, two):
    """Return the contrast ratio of two CSS colours (WCAG 2.2)."""
    luminances = sorted((luminance(one), luminance(two)))
    return (luminances[1] + 0.05) / (luminances[0] + 0.05)


def luminance(colour):
    channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_of_black_on_white_is_21():
    assert abs(contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)") - 21) < 1e-9
