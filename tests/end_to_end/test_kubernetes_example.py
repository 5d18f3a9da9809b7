"""examples/kubernetes/: the API would take it, and its container does what it promises."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.job import SCRIPT, Job, bundle, until
from tests.end_to_end.pipeline import ROOT, TAP, TIMEOUT

pytestmark = pytest.mark.pipelines

MANIFEST = ROOT / "examples" / "kubernetes" / "cronjob.yaml"
DOCKERFILE = ROOT / "Dockerfile"
TOOLS = ROOT / ".envs" / "kubernetes" / "bin"
TO_JSON = "import json, sys, yaml; print(json.dumps([*yaml.safe_load_all(open(sys.argv[1]))]))"
OLDEST = "1.29"  # as the manifest says


@pytest.fixture(scope="module")
def documents() -> dict[str, dict[str, Any]]:
    """The documents of the manifest, by kind."""
    assert TOOLS.exists(), "There is an environment for it: run these tests with `make test-pipelines`."
    printed = subprocess.run(
        [str(TOOLS / "python"), "-c", TO_JSON, str(MANIFEST)], capture_output=True, check=True, timeout=TIMEOUT
    ).stdout
    return {document["kind"]: document for document in json.loads(printed)}


@pytest.fixture
def work(documents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the CronJob says about its jobs."""
    spec: dict[str, Any] = documents["CronJob"]["spec"]["jobTemplate"]["spec"]
    return spec


@pytest.fixture
def pod(work: dict[str, Any]) -> dict[str, Any]:
    """What it says about their pods."""
    spec: dict[str, Any] = work["template"]["spec"]
    return spec


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    """The one container: tap and target share a pipe."""
    (one,) = pod["containers"]
    assert isinstance(one, dict)
    return one


def validate(version: str, text: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """What the schema of the API says; an unknown member is a mistake, as it is for `kubectl apply`."""
    (folder / "manifest.yaml").write_text(text, "utf-8")
    return subprocess.run(
        [str(TOOLS / "kubernetes-validate"), "--strict", "-k", version, str(folder / "manifest.yaml")],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def newest() -> str:
    """The newest version whose schema there is."""
    printed = subprocess.run(
        [str(TOOLS / "python"), "-c", "import kubernetes_validate as k; print(k.latest_version())"],
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT,
    )
    return printed.stdout.strip()


@pytest.mark.parametrize("version", [OLDEST, "newest"])
def test_the_api_takes_the_manifest(version: str, tmp_path: Path, documents: dict[str, Any]) -> None:
    """`kubectl apply` would refuse it, or leave out what it does not know: the hardening, say."""
    text = MANIFEST.read_text("utf-8")
    found = validate(newest() if version == "newest" else version, text, tmp_path)

    assert 0 == found.returncode, found.stdout
    assert {"CronJob", "PersistentVolumeClaim"} == {*documents}
    assert len(documents) == found.stdout.count(" passed for resource ")
    assert f"Kubernetes {OLDEST} or newer" in text


@pytest.mark.parametrize(
    "good, bad",
    [
        ("readOnlyRootFilesystem: true", "readOnlyRootFileSystem: true"),
        ("operator: In", "operators: In"),
        ("concurrencyPolicy: Forbid", "concurrencyPolicy: [Forbid]"),
    ],
)
def test_mistakes_are_found(good: str, bad: str, tmp_path: Path) -> None:
    """A check that finds nothing at all would make the test above pass."""
    text = MANIFEST.read_text("utf-8")
    assert 1 == text.count(good)

    assert 0 != validate(OLDEST, text.replace(good, bad), tmp_path).returncode


def test_the_policy_for_failed_pods_is_one_the_api_takes(work: dict[str, Any], container: dict[str, Any]) -> None:
    """What the API server refuses, although its schema does not say so."""
    disrupted, pointless = work["podFailurePolicy"]["rules"]
    on_status = pointless["onExitCodes"]

    assert "Never" == work["template"]["spec"]["restartPolicy"]
    assert ("Ignore", "FailJob") == (disrupted["action"], pointless["action"])
    assert container["name"] == on_status["containerName"]
    assert sorted({*on_status["values"]}) == on_status["values"]
    assert all(0 < status < 256 for status in on_status["values"])


def test_the_container_is_shut_in(pod: dict[str, Any], container: dict[str, Any]) -> None:
    """Whoever gets into tap or target, by a hole in a library, would get into the node or the cluster."""
    of_pod, of_container = pod["securityContext"], container["securityContext"]

    assert of_pod["runAsNonRoot"] is True and of_pod["runAsUser"] > 0
    assert {"type": "RuntimeDefault"} == of_pod["seccompProfile"]
    assert {"drop": ["ALL"]} == of_container["capabilities"]
    assert of_container["readOnlyRootFilesystem"] is True
    assert of_container["allowPrivilegeEscalation"] is False
    assert pod["automountServiceAccountToken"] is False
    assert f"USER {of_pod['runAsUser']}:{of_pod['runAsGroup']}\n" in DOCKERFILE.read_text("utf-8")


def test_the_spool_has_room_that_is_counted(pod: dict[str, Any], container: dict[str, Any]) -> None:
    """Bundles would fill the disk of the node, and other pods would pay for it."""
    (spool,) = [volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume]
    asked, most = (container["resources"][kind]["ephemeral-storage"] for kind in ("requests", "limits"))

    assert {"2Gi"} == {spool["sizeLimit"], asked}
    assert "3Gi" == most  # logs count, too


def test_the_image_holds_what_the_command_names(container: dict[str, Any]) -> None:
    """The pod would end with "not found"."""
    text = DOCKERFILE.read_text("utf-8")
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)

    assert [] == [name for names in copied for name in names.split() if not (ROOT / name).exists()]
    assert container["command"][0] == SCRIPT.name
    assert f"COPY {SCRIPT.relative_to(ROOT)} /usr/local/bin/\n" in text
    assert "/opt/tap-fullstory/bin/pip install" in text and "/opt/target-postgres/bin/pip install" in text
    assert "ENV PATH=/opt/tap-fullstory/bin:/opt/target-postgres/bin:/usr/local/bin:/usr/bin:/bin\n" in text


class Pod:
    """The container's command with its variables and volumes, below a folder of our own."""

    def __init__(self, root: Path, job: Job, pod: dict[str, Any], container: dict[str, Any]) -> None:
        self._job = job
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert {*mounts} == {volume["name"] for volume in pod["volumes"]}
        self._moved = {path: root / path.lstrip("/") for path in mounts.values()}
        for folder in self._moved.values():
            folder.mkdir(parents=True)
        self.settings, self.state, self.spool = (self._moved[mounts[name]] for name in ("settings", "state", "spool"))
        self.command = [SCRIPT, *(self._here(word) for word in container["command"][1:])]
        variables = {one["name"]: self._here(one["value"]) for one in container["env"]}
        self.environment = {"PATH": f"{TAP.parent}:{job.bin}:/usr/bin:/bin", **variables}

    def _here(self, word: str) -> str:
        for path, folder in self._moved.items():
            word = re.sub(rf"^{re.escape(path)}(?=/|$)", str(folder), word)
        return word

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it, with the secret mounted anew."""
        for name in ("config.json", "target.json"):
            shutil.copy(self._job.folder / name, self.settings)
        with open(self._job.folder / "printed", "wb") as printed:
            return subprocess.Popen(
                self.command,
                cwd="/",
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                start_new_session=True,
            )

    def run(self) -> tuple[int, str]:
        """Run it to its end; its exit status and its log."""
        status = self.start().wait(TIMEOUT)
        return status, self.log()

    def log(self) -> str:
        """What `kubectl logs` would show."""
        return (self._job.folder / "printed").read_text("utf-8")


@pytest.fixture
def here(tmp_path: Path, job: Job, pod: dict[str, Any], container: dict[str, Any]) -> Pod:
    """The container as it would run, for an account with two bundles."""
    return Pod(tmp_path / "root", job, pod, container)


def test_each_pod_loads_what_is_new(here: Pod, job: Job) -> None:
    """The command would not work, or forget the state with the pod."""
    first = here.run()
    job.shop.bundles = [bundle(0), bundle(1), bundle(2)]
    second = here.run()

    assert [0, 0] == [first[0], second[0]], first[1] + second[1]
    assert job.expected_pages() == job.pages()
    assert {"state.json", "lock"} == {path.name for path in here.state.iterdir()}
    assert {"config.json", "target.json"} == {path.name for path in here.settings.iterdir()}
    assert [] == [*here.spool.iterdir()]


def test_the_status_reaches_the_policy_and_the_reason_the_log(here: Pod, job: Job, work: dict[str, Any]) -> None:
    """A refused key would be tried again and again, and nobody could read why."""
    job.write_config(api_key="revoked-key")

    status, log = here.run()

    assert 77 == status
    assert status in work["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"]
    assert "CRITICAL Fullstory refused the API key" in log
    assert "revoked-key" not in log


def test_a_pod_that_is_stopped_keeps_what_is_stored(here: Pod, job: Job, pod: dict[str, Any]) -> None:
    """A node that is drained would cost what was loaded since the last state, or the 120 seconds each time."""
    job.shop.bundles = [bundle(0, events=20_000)]
    job.write_config(checkpoint_records=500)
    job.write_target_config("waits")
    process = here.start()
    assert until((here.state / "state.json").exists)
    process.terminate()
    assert until(lambda: "stopping the tap" in here.log())
    (job.folder / "stored.go").touch()

    assert 143 == process.wait(pod["terminationGracePeriodSeconds"]), here.log()
    (left,) = here.spool.iterdir()
    left.unlink()  # it goes with the pod
    assert 0 == here.run()[0]
    assert job.expected_pages() == job.pages()
