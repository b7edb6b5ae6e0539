"""Drives `kd-lab ui` in headless Chromium; run as a script it takes the README's pictures of a study.

    .venv/bin/python tests/mlflow_pages.py NAME experiments/ui [--multirun multirun]

It writes runs.png (the table of runs, best on top) and compare.png (all of them in parallel coordinates).
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from local_servers import free_port, wait_for_answer
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT = 1280, 800
_NO_ASSISTANT = """
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
"""  # it takes a quarter of the page
_ROWS = """
const left = [...document.querySelectorAll('.ag-pinned-left-cols-container [role=row][row-id]')];
left.sort((one, other) => one.getAttribute('row-index') - other.getAttribute('row-index'));
return left.map(row => row.querySelector('a[href*="/runs/"]')?.innerText ?? '');
"""


@contextmanager
def served(multirun: Path, name: str) -> Iterator[str]:
    """`kd-lab ui` over a study: yields the link that it prints, once it answers, and ends it."""
    port = free_port()
    verb = [sys.executable, "-m", "kd_lab", "ui", name, "--multirun", str(multirun), "--port", str(port), "--no-open"]
    server = subprocess.Popen(verb, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        link = server.stdout.readline().removeprefix("MLflow: ").strip()
        assert link.startswith("http"), "kd-lab ui did not start"
        wait_for_answer(f"http://127.0.0.1:{port}/health", server)
        yield link
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=30)


@contextmanager
def chromium(failures: Path) -> Iterator[Pages]:
    """A headless Chromium of 1280 x 800 with a profile of its own; pictures of failures go into the folder."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--lang=en"):
        options.add_argument(argument)  # the sandbox does not start for root, nor does /dev/shm suffice in containers
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    service = webdriver.ChromeService(str(shutil.which("chromedriver")))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        screen = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _NO_ASSISTANT})
        yield Pages(driver, failures)
    finally:
        driver.quit()


class Pages:
    """What a user does and sees; each step waits for what it needs, at most half a minute."""

    def __init__(self, driver: Any, failures: Path) -> None:
        self.driver, self.failures = driver, failures

    def wait(self, what: str, true: Callable[[], Any]) -> Any:
        """The first truthy answer; without one it fails, with the page's picture and what it says."""
        from selenium.common.exceptions import TimeoutException, WebDriverException
        from selenium.webdriver.support.ui import WebDriverWait

        patient = WebDriverWait(self.driver, 30, 0.1, ignored_exceptions=[WebDriverException])
        try:
            return patient.until(lambda _: true())
        except TimeoutException:
            picture = self.failures / f"{re.sub(r'[^a-z0-9]+', '-', what.lower())}.png"
            self.driver.save_screenshot(str(picture))
            said = self.driver.find_element("tag name", "body").text
            raise AssertionError(f"no {what} at {self.driver.current_url}: see {picture}\n{said[:2000]}") from None

    def open(self, link: str) -> None:
        """Opens the address anew, also when it differs behind the # alone, and once the server answers."""

        def answered() -> bool:
            self.driver.get("about:blank")
            self.driver.get(link)
            return bool(self.driver.find_elements("css selector", "#root > *"))

        self.wait("answer of the server", answered)

    def find(self, selector: str) -> Any:
        """The visible element of a CSS selector."""
        return self._visible(selector, "css selector", selector)

    def text(self, text: str) -> Any:
        """The visible element that says exactly this."""
        return self._visible(text, "xpath", f"//*[normalize-space(text())={json.dumps(text)}]")

    def _visible(self, what: str, by: str, value: str) -> Any:
        found = self.driver.find_elements
        return self.wait(what, lambda: next((one for one in found(by, value) if one.is_displayed()), None))

    def click(self, element: Callable[[], Any], what: str) -> None:
        """Clicks, again where the page was redrawn or something lay over it meanwhile."""
        self.wait(what, lambda: element().click() or True)

    def rows(self) -> list[str]:
        """Names in the table of runs, top to bottom, as far as they are in sight."""
        return [str(name) for name in self.driver.execute_script(_ROWS)]

    def row(self, name: str) -> Any:
        """The left part of a run's row: tick box, expander, name."""
        path = f"//a[normalize-space()={json.dumps(name)}]/ancestor::*[@role='row'][1]"
        return self.wait(name, lambda: self.driver.find_element("xpath", path))

    def colours(self, selector: str) -> int:
        """How many pixels of an element are in colour, neither white, grey nor black."""
        return int(coloured(Image.open(io.BytesIO(self.find(selector).screenshot_as_png)).convert("RGB")).sum())

    def strangers(self) -> list[str]:
        """Addresses off this machine that any page has asked for so far."""
        entries = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [e["params"]["request"]["url"] for e in entries if e["method"] == "Network.requestWillBeSent"]
        return [url for url in asked if not re.match(r"http://127\.0\.0\.1:|data:|blob:|about:|chrome", url)]

    def picture(self, path: Path) -> None:
        """Writes what is in sight as a PNG of 256 colours."""
        seen = Image.open(io.BytesIO(self.driver.get_screenshot_as_png())).convert("RGB")
        path.parent.mkdir(parents=True, exist_ok=True)
        seen.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def coloured(image: Image.Image) -> NDArray[np.bool_]:
    """(H, W) whether the channels of a pixel differ."""
    pixels = np.asarray(image).astype(np.int16)
    return pixels.max(axis=2) - pixels.min(axis=2) > 60


def compare_link(server: str, experiment: str, runs: list[str]) -> str:
    """MLflow's address for a comparison of runs, by their ids."""
    chosen = f"runs={quote(json.dumps(runs))}&experiments={quote(json.dumps([experiment]))}"
    return f"{server}/#/compare-runs?{chosen}&workflowType=machine_learning"


def main() -> None:
    """Takes the README's pictures."""
    from kd_lab.tracking.mlflow_store import connect

    parser = argparse.ArgumentParser(description="Take the README's pictures of a study in MLflow.")
    parser.add_argument("name", help="the study")
    parser.add_argument("folder", type=Path, help="where runs.png and compare.png go")
    parser.add_argument("--multirun", type=Path, default=Path("multirun"), help="the folder of the results")
    chosen = parser.parse_args()
    client = connect(f"sqlite:///{(chosen.multirun / 'mlflow.db').resolve()}")
    experiment = client.get_experiment_by_name(chosen.name).experiment_id
    finished = client.search_runs([experiment], "attributes.status = 'FINISHED'")
    cells = [run.info.run_id for run in finished if "test/accuracy" in run.data.metrics]
    with served(chosen.multirun, chosen.name) as link, chromium(Path(tempfile.gettempdir())) as pages:
        for page in (link, f"{link}&compareRunsMode=CHART"):
            pages.open(page)
            pages.wait("the runs", lambda: len(pages.rows()) >= min(len(cells), 10))
            pages.click(
                lambda: pages.find("[data-component-id='mlflow.experiment_page.shared_view.dismiss']"), "banner"
            )
            if page == link:
                pages.picture(chosen.folder / "runs.png")
        pages.wait("lines in colour", lambda: pages.colours(".parcoords") > 200)
        pages.picture(chosen.folder / "compare.png")
    for name in ("runs.png", "compare.png"):
        print(chosen.folder / name, (chosen.folder / name).stat().st_size // 1024, "KiB")


if __name__ == "__main__":
    main()
