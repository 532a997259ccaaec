"""What GitHub and the hooks read: workflows, forms, the citation, pre-commit."""

import re
import subprocess
import sys

import pytest
from doc_pages import ROOT

yaml = pytest.importorskip("yaml")

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path):
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


def scripts(path):
    return [step["run"].replace("\\\n", " ") for step in steps(path) if "run" in step]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_have_least_permissions_and_pinned_actions(path):
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is True
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())
    uses = [step["uses"] for step in steps(path) if "uses" in step]
    assert uses and all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+\.\d+\.\d+", each) for each in uses)
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False
        if step.get("uses", "").startswith("actions/setup-python"):
            assert step["with"]["cache"] == "pip" and (ROOT / step["with"]["cache-dependency-path"]).is_file()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_targets_and_scripts_that_are_there(path):
    called = [target for script in scripts(path) for target in re.findall(r"^\s*make ([\w-]+)", script, re.MULTILINE)]
    assert called and set(called) <= TARGETS
    for script in scripts(path):
        for file in re.findall(r"(?:^|\s)((?:\.ci|tests|benchmarks|docs)/[\w./-]+)", script):
            assert (ROOT / file).exists(), file


def test_every_python_is_tested():
    classified = re.findall(r'"Programming Language :: Python :: ([\d.]+)"', PYPROJECT)
    matrices = {path.stem: next(iter(read(path)["jobs"].values())).get("strategy", {}) for path in WORKFLOWS}
    assert matrices["device"]["matrix"] == {"python": classified, "numpy": ["oldest", "newest"]}
    assert matrices["tests"]["matrix"] == {"python": ["3.10", "3.11", "3.12"]}


def test_the_installation_has_what_the_extras_need():
    pytest.importorskip("pip._vendor.tomli")
    command = [sys.executable, str(ROOT / ".ci" / "requirements.py"), "report", "synthetic"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(listed) == 3 and all(f'"{each}"' in PYPROJECT for each in listed)
    assert [re.split("[<>=]", each)[0] for each in listed] == ["numpy", "bokeh", "espeakng-loader"]


def test_the_tests_have_the_packages_of_continuous_integration():
    (listed,) = re.findall(r"packages=\((.*)\)", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    installed = " ".join(scripts(ROOT / ".github" / "workflows" / "tests.yml")).split()
    # Runners of GitHub have a browser.
    assert set(listed.split()) - {"chromium", "chromium-driver"} <= set(installed)


@pytest.mark.parametrize("path", [path for path in FORMS if path.name != "config.yml"], ids=lambda path: path.name)
def test_forms_have_what_github_asks_for(path):
    form = read(path)
    assert form["name"] and form["description"] and form["body"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields) > 0
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_the_citation_is_of_this_version():
    citation = read(ROOT / "CITATION.cff")
    assert citation["cff-version"] == "1.2.0" and citation["message"] and citation["authors"]
    version, licence = citation["version"], citation["license"]
    assert f'\nversion = "{version}"\n' in PYPROJECT
    assert f'\nlicense = {{ text = "{licence}" }}\n' in PYPROJECT
    (keywords,) = re.findall(r"^keywords = \[(.*)\]$", PYPROJECT, flags=re.MULTILINE)
    assert all(f'"{keyword}"' in keywords for keyword in citation["keywords"])


def test_hooks_run_the_tools_that_the_project_pins():
    hooks = [hook for repository in read(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repository["hooks"]]
    assert {repository["repo"] for repository in read(ROOT / ".pre-commit-config.yaml")["repos"]} == {"local"}
    assert {"ruff", "ruff-format", "mypy"} <= {hook["id"] for hook in hooks}
    assert all(hook["language"] == "system" and hook["entry"].startswith(".venv/bin/") for hook in hooks)
    assert all(re.search(rf'"{tool}==[\d.]+"', PYPROJECT) for tool in ("ruff", "mypy"))


def test_the_policy_on_security_names_the_limits_of_the_code():
    from audio_tasks import archives
    from bnn_exit import strict_json
    from bnn_exit.audio import riff, wav
    from bnn_exit.model_file import header
    from bnn_exit.serving import server, wire

    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert f"{archives.MAX_RATIO} times its size" in text and f"{archives.MAX_MEMBERS:,} members" in text
    assert (archives.FREE_BYTES, archives.MAX_BYTES) == (256 << 20, 1 << 40)
    assert f"{strict_json.MAX_BYTES >> 20} MiB, {strict_json.MAX_DEPTH} levels" in text
    assert f"{riff.MIN_RATE_HZ:,} to {riff.MAX_RATE_HZ:,} Hz" in text and f"| {header.MAX_SUBGRAPHS} |" in text
    assert f"| {server.MAX_CLIENTS}; {wire.MAX_LINE_BYTES >> 10} KiB of JSON, as much data" in text
    assert f"{wire.MAX_PAYLOAD_BYTES >> 20} MiB of sound, within {wire.MESSAGE_TIMEOUT_S:g} s" in text
    assert wire.MAX_DATA_BYTES == wire.MAX_LINE_BYTES
    assert (wav.MAX_SAMPLES, header.MAX_ELEMENTS) == (1 << 28, 1 << 26)


def test_git_ignores_no_source():
    """A pattern such as "runs/" would keep bnn_exit/runs out of commits and of the source distribution."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    for kind in ("--cached", "--others"):
        command = ["git", "ls-files", kind, "--ignored", "--exclude-standard"]
        command += ["--", "bnn_exit", "audio_tasks", "distill", "tests", "benchmarks"]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
        assert not [path for path in found if path.endswith((".py", ".cpp", ".h", ".inc", ".json"))]
