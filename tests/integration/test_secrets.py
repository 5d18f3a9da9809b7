"""Keys and header values are never shown."""

import base64
import json
import threading
from urllib.parse import quote, quote_plus

from fullstory_emulator import Emulator, Fault
from tests.integration.tap import GET, LIST, Run, Tap, bundle

KEY = 'na1.Zz+9/q=%7e"\\x=='
HEADER = "tok/en+1%20=&secret"
DEBUG = {"LOGLEVEL": "DEBUG"}


def spellings(secret: str) -> set[str]:
    """All the ways in which a secret might turn up."""
    return {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        base64.b64encode(secret.encode()).decode(),
    }


def assert_hidden(run: Run) -> None:
    """Neither secret is in what a run printed."""
    everything = run.stdout.decode() + run.stderr
    for secret in (KEY, HEADER):
        for spelling in spellings(secret):
            assert spelling not in everything, spelling


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


def test_a_key_that_a_server_spells_differently_is_hidden_too(run_tap: Tap, emulator: Emulator) -> None:
    """A proxy that answers with the request it refused would put the key into the log."""
    emulator.api_key = KEY
    body = f"{quote(KEY, safe='')} {quote_plus(KEY)} {json.dumps(KEY)}"
    emulator.faults = [Fault(LIST, status=400, body=body)]

    run = run_tap(settings={"http_headers": {"X-Token": HEADER}}, env=DEBUG)

    assert 78 == run.status
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
