"""A browser for the tests of the page; where there is none they are skipped."""

import shutil

import pytest


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window, driven by selenium. It may not reach a network: pages are files."""
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install '.[test]'")
    pytest.importorskip("bokeh", reason="bokeh is not installed: pip install '.[report]'")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("Chromium is not installed: apt-get install chromium chromium-driver")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    # As root, in a container, without a display. A host resolver that knows nothing keeps every request inside.
    for switch in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", "window-size=1200,900"):
        options.add_argument(f"--{switch}")
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    found.set_script_timeout(60)
    yield found
    found.quit()
