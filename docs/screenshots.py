"""Take screenshots of the page of `rnnlm serve` for the README, in the system's Chromium.

    rnnlm train corpora/chinese.txt --time 75s -o chinese.npz
    rnnlm train corpora/english.txt --level char --time 60s -o english.npz
    python docs/screenshots.py chinese.npz english.npz

These commands write docs/page-*.png. They need `pip install -e '.[test]'` and Chromium (on Debian:
apt install chromium).
"""

import argparse
import itertools
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
CHINESE, ENGLISH = 0, 1  # places of the models on the command line


@contextmanager
def served(models: list[Path]) -> Iterator[str]:
    """Serve the models and yield the address."""
    command = [sys.executable, "-m", "rnnlm", "serve", "--port", "0"]
    for path in models:
        command += ["-m", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as server:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        if found is None:
            sys.exit("rnnlm serve did not start.")
        try:
            yield found[0]
        finally:
            server.terminate()


def show_type(page: Any) -> None:
    """Show the predicted next words of a Chinese sentence."""
    page.fill("#type-text", "我 昨天 上学 迟到 了 ， 老师 批评 了")


def show_surprise(page: Any) -> None:
    """Show a Chinese text with one unexpected word."""
    page.fill(
        "#surprise-text",
        "小红这次考试比上次进步了很多，王老师在全班同学面前表扬了她。\n我的手机坏了，我打算吃一部新手机。",
    )
    page.locator("#surprise-painting [role=option]", has_text=re.compile("^吃$")).hover()


def show_sample(page: Any) -> None:
    """Show generated text, coloured by probability."""
    page.fill("#sample-prompt", "我 昨天 上学 迟到 了 ，")
    page.evaluate("document.getElementById('sample-settings').open = true")
    page.fill("#sample-seed", "4")
    page.evaluate("document.getElementById('sample-settings').open = false")
    page.check("#sample-colour")
    page.click("#sample-start")
    page.wait_for_selector("#sample-start:enabled")


def show_neurons(page: Any) -> None:
    """Show the activation of the best unit on an English text."""
    text = 'The ferry was late again, and Tobin said that "the wind knows only their hats".'
    page.fill("#neurons-text", text)
    page.wait_for_selector("#neurons-found button[aria-pressed=true]")
    page.locator("#neurons-painting [role=option]").nth(4).hover()


PICTURES = {
    "type": (CHINESE, show_type, {"color_scheme": "light", "locale": "en-US"}),
    "surprise": (CHINESE, show_surprise, {"color_scheme": "dark", "locale": "zh-CN"}),
    "sample": (CHINESE, show_sample, {"color_scheme": "light", "locale": "zh-CN"}),
    "neurons": (ENGLISH, show_neurons, {"color_scheme": "light", "locale": "en-US"}),
}
SIZES: dict[str, dict[str, Any]] = {
    "wide": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}


def take(browser: Any, address: str, model: int, show: Callable[[Any], None], look: dict[str, Any], path: Path) -> None:
    """Take a screenshot of one part of the page."""
    page = browser.new_page(**{"viewport": {"width": 880, "height": 560}} | look)
    page.goto(address)
    page.wait_for_selector("[role=tab][aria-selected=true]")
    page.select_option("#model", index=model)
    show(page)
    page.wait_for_timeout(1500)  # wait until the bars have grown to their width
    page.screenshot(path=path, full_page=True)
    page.close()


def take_all(browser: Any, address: str, folder: Path) -> None:
    """Take screenshots in both languages and themes, on a wide screen and on a phone, for inspection."""
    for part, (model, show, _) in PICTURES.items():
        for locale, theme, (width, look) in itertools.product(("en-US", "zh-CN"), ("light", "dark"), SIZES.items()):
            path = folder / f"{part}-{locale[:2]}-{theme}-{width}.png"
            take(browser, f"{address}/#{part}", model, show, look | {"locale": locale, "color_scheme": theme}, path)


def main() -> None:
    """Take the screenshots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "models", type=Path, nargs=2, metavar="MODEL", help="a Chinese one of words, an English one of characters"
    )
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="all parts in all looks, too, to be looked at")
    arguments = parser.parse_args()
    models, folder = arguments.models, arguments.all
    from playwright.sync_api import sync_playwright

    with served(models) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for part, (model, show, look) in PICTURES.items():
            take(browser, f"{address}/#{part}", model, show, look, FOLDER / f"page-{part}.png")
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            take_all(browser, address, folder)
        browser.close()


if __name__ == "__main__":
    main()
