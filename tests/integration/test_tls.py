"""Certificates and proxies: who is trusted, who sees what."""

import re
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme

from fullstory_emulator import Emulator
from tests.integration.tap import Run, Tap, bundle

pytestmark = pytest.mark.only_source("data_export")

HOST = "export.fullstory.test"  # a name that nobody can resolve
USER, PASSWORD = "tap", "s3cr+t/p@ss%w"
KEY = "na1.made-up+key/of=this-test"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that nobody knows."""
    return trustme.CA()


@pytest.fixture
def trust(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    """The variable that makes it known."""
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    return {"REQUESTS_CA_BUNDLE": str(file)}


def served_as(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """A server with a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[Emulator]:
    """Fullstory over https, on this machine and under a made-up name."""
    context = served_as(authority, "127.0.0.1", HOST)
    with Emulator(api_key=KEY, bundles=[bundle(0), bundle(1)], tls=context) as emulator:
        yield emulator


def settings(url: str) -> dict[str, object]:
    """The usual settings for another host, with an hour of retries."""
    return {"api_key": KEY, "api_url": url, "export_url": url, "retry_timeout": 3600}


def refused(run: Run) -> bool:
    """Whether the run ended at once, with 69 and one line."""
    lines = [line for line in run.said if not line.startswith("INFO")]
    return 69 == run.status and [] == run.records() and 1 == len(lines)


# --- certificates ---


@pytest.mark.parametrize("env", [{}, {"PYTHONHTTPSVERIFY": "0"}, {"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""}])
def test_an_unknown_authority_is_refused_at_once(run_tap: Tap, secure: Emulator, env: dict[str, str]) -> None:
    """Whoever stands between would be given the key, or people would wait an hour for the message."""
    run = run_tap(settings=settings(secure.url), env=env)

    assert refused(run), run.stderr
    assert "REQUESTS_CA_BUNDLE" in run.last_line
    assert [] == secure.requests


def test_a_named_authority_is_trusted(run_tap: Tap, secure: Emulator, trust: dict[str, str]) -> None:
    """Nobody behind a proxy that opens all connections could use the tap."""
    run = run_tap(settings=settings(secure.url), env=trust)

    assert (0, 6) == (run.status, len(run.records()))
    assert 1 == len({request.peer for request in secure.requests})


@pytest.mark.parametrize("names", [("localhost",), ("127.0.0.2",), (HOST,)])
def test_a_certificate_for_another_host_is_refused(
    run_tap: Tap, authority: trustme.CA, trust: dict[str, str], names: tuple[str, ...]
) -> None:
    """Any host that has some certificate could pass for Fullstory."""
    with Emulator(api_key=KEY, tls=served_as(authority, *names)) as emulator:
        run = run_tap(settings=settings(emulator.url), env=trust)

        assert refused(run), run.stderr
        assert "another host" in run.last_line and "REQUESTS_CA_BUNDLE" not in run.last_line
        assert [] == emulator.requests


@pytest.mark.parametrize("content", [None, b"", b"no certificate\n"])
def test_a_file_of_authorities_that_is_none_is_said(
    run_tap: Tap, secure: Emulator, tmp_path: Path, content: "bytes | None"
) -> None:
    """A mistyped path would be retried for an hour, or be reported as a bug."""
    file = tmp_path / "named.pem"
    if content is not None:
        file.write_bytes(content)

    run = run_tap(settings=settings(secure.url), env={"REQUESTS_CA_BUNDLE": str(file)})

    assert (78, []) == (run.status, run.records()), run.stderr
    assert "REQUESTS_CA_BUNDLE" in run.last_line
    assert [] == secure.requests


def test_nothing_switches_verification_off() -> None:
    """A setting for one bad night would stay in the configuration for years."""
    text = "\n".join(path.read_text() for path in (ROOT / "tap_fullstory").rglob("*.py"))

    assert "requests" in text
    ways = r"verify\s*[=:]|CERT_NONE|check_hostname|_create_unverified|disable_warnings|assert_hostname|InsecureReq"
    assert None is re.search(ways, text)


# --- proxies ---


class Proxy:
    """An HTTP proxy that connects to one server, whatever host it is asked for.

    Args:
        target: the port that it really connects to.
        status: refuses with this status instead.
        user: the user and password that it wants.
    """

    def __init__(self, target: int, *, status: int = 200, user: "tuple[str, str] | None" = None) -> None:
        self._target = target
        self._status = status
        self._key = b64encode(":".join(user).encode()).decode() if user else None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.heads: list[str] = []
        self.seen = b""  # all that went through in clear or not, from the client on
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._listener.shutdown(socket.SHUT_RDWR)  # or the thread that waits for a client would get one more
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            self.heads.append(head.decode())
            known = self._key is None or f"Basic {self._key}\r\n" in self.heads[-1]
            status = self._status if known else 407
            client.sendall(b"HTTP/1.1 %d Whatever %b\r\n\r\n" % (status, PASSWORD.encode()))
            if status != 200:
                return
            with socket.create_connection(("127.0.0.1", self._target)) as server:
                back = threading.Thread(target=pump, args=(server, client), daemon=True)
                back.start()
                while part := client.recv(65536):
                    self.seen += part
                    server.sendall(part)
                server.shutdown(socket.SHUT_WR)
                back.join()


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Hand on all bytes of one direction."""
    with suppress(OSError):
        while part := source.recv(65536):
            sink.sendall(part)
        sink.shutdown(socket.SHUT_WR)


URL = f"https://{HOST}"


def assert_hidden(run: Run) -> None:
    """Neither the key nor the password of the proxy is in what a run printed."""
    everything = run.stdout.decode() + run.stderr
    for secret in (KEY, PASSWORD, quote(PASSWORD, safe=""), b64encode(f"{USER}:{PASSWORD}".encode()).decode()):
        assert secret not in everything


def through(proxy: Proxy, *, user: str = "") -> dict[str, str]:
    """The variables that lead through a proxy, and no others of their kind."""
    return variables(f"http://{user}127.0.0.1:{proxy.port}")


def variables(proxy: str) -> dict[str, str]:
    """The variables that name a proxy, whatever others are set where the tests run."""
    return {"HTTPS_PROXY": proxy, "https_proxy": proxy, "NO_PROXY": "", "no_proxy": "", "LOGLEVEL": "DEBUG"}


def test_a_proxy_is_used_and_sees_nothing(run_tap: Tap, secure: Emulator, trust: dict[str, str]) -> None:
    """In a company nothing would be reached, or whoever runs the proxy could read all events."""
    with closing(Proxy(secure.port, user=(USER, PASSWORD))) as proxy:
        run = run_tap(settings=settings(URL), env=trust | through(proxy, user=f"{USER}:{quote(PASSWORD, safe='')}@"))

    assert (0, [0, 1, 2, 100, 101, 102]) == (run.status, run.numbers()), run.stderr
    assert_hidden(run)
    (head,) = proxy.heads  # one connection for all
    assert head.startswith(f"CONNECT {HOST}:443 ")
    assert KEY not in head and KEY.encode() not in proxy.seen and b"/api/v1/export" not in proxy.seen
    for request in secure.requests:
        assert f"Basic {KEY}" == request.headers["authorization"]
        assert not any("proxy" in name for name in request.headers)


def test_the_certificate_is_looked_at_behind_a_proxy_too(run_tap: Tap, secure: Emulator) -> None:
    """A proxy could open all connections, and the key with them."""
    with closing(Proxy(secure.port)) as proxy:
        run = run_tap(settings=settings(URL), env=through(proxy))

    assert refused(run), run.stderr
    assert "REQUESTS_CA_BUNDLE" in run.last_line
    assert [] == secure.requests


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_hosts_may_be_asked_without_the_proxy(run_tap: Tap, secure: Emulator, trust: dict[str, str], name: str) -> None:
    """A host inside the company would be looked for outside."""
    with closing(Proxy(secure.port)) as proxy:
        env = {**trust, **through(proxy)}
        direct = run_tap(settings=settings(secure.url), env={**env, name: "127.0.0.1"})
        unknown = run_tap(settings={**settings(URL), "retry_timeout": 0}, env={**env, name: ".fullstory.test"})

    assert (0, 6) == (direct.status, len(direct.records()))
    assert (69, []) == (unknown.status, unknown.records())  # nobody else can resolve the name
    assert [] == proxy.heads


def test_a_proxy_that_wants_a_password_is_named_at_once(run_tap: Tap, secure: Emulator, trust: dict[str, str]) -> None:
    """A wrong password would be tried for an hour, or be printed."""
    with closing(Proxy(secure.port, user=(USER, "another"))) as proxy:
        run = run_tap(settings=settings(URL), env=trust | through(proxy, user=f"{USER}:{quote(PASSWORD, safe='')}@"))

    assert refused(run), run.stderr
    assert_hidden(run)
    assert "407" in run.last_line and "HTTPS_PROXY" in run.last_line
    assert 1 == len(proxy.heads)


@pytest.mark.parametrize("status", [502, 403])
def test_a_proxy_that_refuses_is_tried_again_and_named(
    run_tap: Tap, secure: Emulator, trust: dict[str, str], status: int
) -> None:
    """People would look for the failure at Fullstory."""
    user = f"{USER}:{quote(PASSWORD, safe='')}@"
    with closing(Proxy(secure.port, status=status)) as proxy:
        run = run_tap(settings={**settings(URL), "retry_timeout": 1}, env=trust | through(proxy, user=user))

    assert (69, []) == (run.status, run.records())
    assert_hidden(run)
    assert f"HTTP {status}" in run.last_line and "proxy" in run.last_line
    assert len(proxy.heads) > 1


def test_a_proxy_that_is_not_there_is_named(run_tap: Tap, secure: Emulator, trust: dict[str, str]) -> None:
    """People would look for the failure at Fullstory."""
    proxy = Proxy(secure.port)
    proxy.close()
    user = f"{USER}:{quote(PASSWORD, safe='')}@"

    run = run_tap(settings={**settings(URL), "retry_timeout": 0}, env=trust | through(proxy, user=user))

    assert (69, []) == (run.status, run.records())
    assert_hidden(run)
    assert "proxy" in run.last_line and "HTTPS_PROXY" in run.last_line


@pytest.mark.parametrize(
    "form", ["http://{}127.0.0.1:port", "http://{}", "http://{}[::1", "socks5://{}127.0.0.1:1", "x://{}127.0.0.1", "{}"]
)
def test_a_proxy_that_is_no_url_is_named(run_tap: Tap, trust: dict[str, str], form: str) -> None:
    """A mistyped variable would be reported as a bug, with its password."""
    proxy = form.format(f"{USER}:{quote(PASSWORD, safe='')}@")

    run = run_tap(
        settings={**settings(URL), "retry_timeout": 0},
        env=trust | variables(proxy),
    )

    assert (78, []) == (run.status, run.records()), run.stderr
    assert_hidden(run)
    assert "HTTPS_PROXY" in run.last_line
