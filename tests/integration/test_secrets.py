"""Keys and header values are never shown."""

import json
import threading
from urllib.parse import quote

import pytest

from fullstory_emulator import Emulator, Fault
from tests.integration.hidden import DEBUG, HEADER, KEY, assert_hidden, spellings
from tests.integration.tap import GET, LIST, Tap, bundle

pytestmark = pytest.mark.only_source("data_export")


def test_no_secret_is_ever_shown(run_tap: Tap, emulator: Emulator) -> None:
    """Whoever can read the log of a scheduler could read all events of the account."""
    emulator.api_key = KEY
    emulator.bundles = [bundle(0), bundle(1)]
    settings = {"api_key": KEY, "http_headers": {"X-Token": HEADER}, "retry_timeout": 0.2}
    echo = f"key {KEY} header {HEADER} is refused".encode()
    faults = [
        [],
        [Fault(LIST, status=400, body=echo)],
        [Fault(LIST, status=401, body=echo)],
        [Fault(LIST, status=403, body=echo)],
        [Fault(LIST, status=404, body=echo)],
        [Fault(LIST, status=500, body=echo, times=None)],
        [Fault(LIST, raw=echo, times=None)],
        [Fault(LIST, raw=b'{"exports": [{"Id": "' + KEY.replace('"', "").encode() + b'"}]}', times=None)],
        [Fault(LIST, status=429, headers={"Retry-After": KEY}, times=None)],
        [Fault(GET, redirect=f"{emulator.url}/elsewhere?key={quote(KEY, safe='')}", times=None)],
        [Fault(GET, status=500, body=echo, times=None)],
        [Fault(GET, reset=True, times=None)],
        [Fault(GET, raw=echo, times=None)],
    ]
    statuses = []
    for some in faults:
        emulator.faults = some
        run = run_tap(settings=settings, env=DEBUG)
        statuses.append(run.status)
        assert_hidden(run)
        assert not any(KEY[:8] in name or quote(KEY, safe="") in name for name in run_tap.waiting())

    assert 0 == statuses[0]
    assert [78, 77, 77, 78, 69] == statuses[1:6]
    assert 0 not in statuses[1:]


@pytest.mark.long
def test_a_key_that_a_server_spells_differently_is_hidden_too(run_tap: Tap, emulator: Emulator) -> None:
    """A proxy that answers with the request it refused would put the key into the log."""
    emulator.api_key = KEY
    for body in sorted(spellings(KEY) | spellings(HEADER)):
        emulator.faults = [Fault(LIST, status=400, body=body)]

        run = run_tap(settings={"http_headers": {"X-Token": HEADER}}, env=DEBUG)

        assert 78 == run.status
        assert_hidden(run)


@pytest.mark.parametrize("before", [180, 190])
def test_a_secret_is_hidden_also_where_a_long_answer_is_cut(run_tap: Tap, emulator: Emulator, before: int) -> None:
    """The beginning of the key would stand in the log when the tap shortens what a server says."""
    emulator.api_key = KEY
    text = "." * before + KEY
    entry = json.dumps({"exports": [{"Id": text}]}).encode()
    settings = {"http_headers": {"X-Token": HEADER}, "retry_timeout": 0}
    for fault in (
        {"status": 400, "body": text},
        {"status": 500, "body": json.dumps({"message": text})},
        {"raw": entry},
    ):
        emulator.faults = [Fault(LIST, **fault)]

        run = run_tap(settings=settings, env=DEBUG)

        assert run.status in (65, 69, 78)
        assert "......." in run.last_line
        assert_hidden(run)


def test_names_of_spooled_files_hold_no_secret(run_tap: Tap, emulator: Emulator) -> None:
    """Other users of the machine can list the folder."""
    emulator.api_key = KEY
    emulator.bundles = [bundle(0)]
    emulator.faults = [Fault(GET, stall_after=10, stall_for=20)]
    process = run_tap.start(settings={"http_headers": {"X-Token": HEADER}})
    names: list[str] = []
    seen = threading.Event()
    while not names and process.poll() is None:
        names = run_tap.waiting() if emulator.count(GET) else []
        seen.wait(0.02)
    process.kill()
    process.communicate()

    assert names
    for secret in (KEY, HEADER):
        assert not any(spelling in name for name in names for spelling in spellings(secret))
        assert not any(secret[:8] in name for name in names)


def test_a_redirect_to_another_host_carries_no_secret(run_tap: Tap, emulator: Emulator) -> None:
    """A storage server, or whoever controls a redirect, would be given the key to all data."""
    emulator.api_key = KEY
    emulator.bundles = [bundle(0)]
    settings = {"api_key": KEY, "http_headers": {"X-Token": HEADER}, "user_agent": "acme/1.0"}
    with Emulator(faults=[Fault(None, raw=b"[]", times=None)]) as other:
        for path in (GET, LIST):
            emulator.faults = [Fault(path, redirect=f"http://localhost:{other.port}{path}?x=1", times=None)]
            run = run_tap(settings=settings, env=DEBUG)
            assert_hidden(run)
        # the same name, another port: another server
        emulator.faults = [Fault(GET, redirect=f"{other.url}{GET}", times=None)]
        assert_hidden(run_tap(settings=settings, env=DEBUG))

    for request in other.requests:
        assert "authorization" not in request.headers
        assert "x-token" not in request.headers
        assert KEY not in str(request) and HEADER not in str(request)


def test_a_redirect_to_plain_http_is_not_followed(run_tap: Tap, emulator: Emulator) -> None:
    """Whoever stands in between could send the tap to where everything can be read on the way."""
    emulator.bundles = [bundle(0)]
    emulator.faults = [Fault(LIST, redirect="http://export.invalid/list", times=None)]

    run = run_tap(settings={"retry_timeout": 0})

    assert 65 == run.status
    assert "http://export.invalid/list, which is not https" in run.last_line
