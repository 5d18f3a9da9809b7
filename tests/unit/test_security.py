"""What SECURITY.md promises of the code: nothing read is executed or names a file; requests only read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import tap_fullstory
from tap_fullstory.bundles import BEGINNING, Position
from tap_fullstory.config import parse_config
from tap_fullstory.errors import ConfigError, ResponseError
from tap_fullstory.extraction import _origin
from tap_fullstory.files import _named
from tap_fullstory.moments import SECOND, comparable
from tap_fullstory.pieces import Piece
from tap_fullstory.records import ALL, Window
from tap_fullstory.sources.data_export import _parse_page
from tap_fullstory.spool import Spool

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(tap_fullstory.__file__).parent
MODULES = {str(path.relative_to(PACKAGE)): ast.parse(path.read_bytes()) for path in sorted(PACKAGE.rglob("*.py"))}

# What makes code of data, or starts programs.
EXECUTING = {"eval", "exec", "compile", "__import__", "breakpoint", "input"}
EXECUTING_MODULES = {
    *("pickle", "marshal", "shelve", "copyreg", "dill", "cloudpickle", "joblib", "yaml", "code", "codeop", "runpy"),
    *("importlib", "imp", "pkgutil", "subprocess", "multiprocessing", "pty", "commands", "shutil", "webbrowser", "xml"),
}
ALLOWED = {
    "encoders.py": {"importlib"},  # looks whether a package is there, by names that stand in the module
    "workers.py": {"multiprocessing"},  # copies of this process; events go to them as bytes, never pickled
}
STARTING = re.compile(r"os\.(?:system|popen|startfile|fork|forkpty|exec\w+|spawn\w+|posix_spawn\w*)")
# What makes or changes files, and where that may stand.
WRITING = {
    "open",
    "rename",
    "replace_file",
    "unlink",
    "mkdir",
    "makedirs",
    "write_text",
    "write_bytes",
    "touch",
    "symlink_to",
}
# encoders.py opens drafts of storage; report_file.py makes its folder, and thins what it has named by a second in it
WRITERS = {"spool.py", "storage.py", "encoders.py", "report_file.py"}
EXPORTER = "sources/exports.py"
CANCEL = """f"{self._config.api_url}{OPERATIONS}/{quote(operation_id, safe='')}/cancel\""""
USER = "tap_fullstory.user"  # the package of the command that deletes
UNCHECKED = {"verify", "cert_reqs", "check_hostname", "assert_hostname", "ssl_context"}


def nodes(module: str) -> Iterator[ast.AST]:
    """All of a module's syntax tree."""
    return ast.walk(MODULES[module])


def called(module: str) -> Iterator[str]:
    """What a module calls, as it is written: `os.open`."""
    return (ast.unparse(node.func) for node in nodes(module) if isinstance(node, ast.Call))


def imported(module: str) -> set[str]:
    """The top-level modules that a module imports."""
    found: set[str] = set()
    for node in nodes(module):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def test_the_scan_sees_the_whole_package() -> None:
    """A scan of no files would find nothing, too."""
    assert {"cli.py", "client.py", "records.py", "spool.py", "sources/data_export.py", "streams/events.py"} <= {
        *MODULES
    }
    assert "os.write" in called("messages.py")
    assert "requests" in imported("client.py")


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_executed_or_evaluated(module: str) -> None:
    """What stands in an event, an answer or a file must never become code or a command."""
    calls = {*called(module)}

    assert set() == calls & EXECUTING
    assert [] == [call for call in calls if STARTING.fullmatch(call)]
    assert set() == imported(module) & EXECUTING_MODULES - ALLOWED.get(module, set())
    # the C library alone, by no name, to tell it how to keep memory
    assert [] == [call for call in calls if call.endswith("CDLL") and module != "cli.py"]


@pytest.mark.parametrize("module", sorted({*MODULES} - WRITERS))
def test_only_spool_and_storage_make_files(module: str) -> None:
    """A file made anywhere else would not have its mode and its name."""
    calls = {call for call in called(module) if call.rpartition(".")[2] in WRITING}

    assert calls <= {"self._spool.open", "spool.open", "os.open"}
    assert [] == [
        ast.unparse(node)
        for node in nodes(module)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "os.open"
        and ast.unparse(node.args[0]) != "os.devnull"
    ]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "1/../2", "1\0", "", "-1", "1.5", None, True, [1], "٣", 1.5, -1]
)
def test_a_bundle_is_named_by_an_integer_or_refused(name: object) -> None:
    """A server that names a bundle like a path must not decide which file is written."""
    with pytest.raises(ResponseError):
        _parse_page({"exports": [{"Id": name, "Start": 0, "Stop": 1}]})


@pytest.mark.parametrize("bundle_id", ["170000640048", 0, 2**63 - 1])
def test_spool_files_are_named_by_a_hash_and_an_integer(tmp_path: Path, bundle_id: object) -> None:
    """Nothing else of what a server says, and nothing of the key, stands in the name of a file."""
    (bundle,) = _parse_page({"exports": [{"Id": bundle_id, "Start": 0, "Stop": 1}]})
    spool = Spool(tmp_path, owner=("https://../../x", "na1.key/../../x"))

    files = [spool.open(bundle.id) for _ in range(2)]  # the second one finds the name taken

    names = [path.name for path in tmp_path.iterdir()]
    assert 2 == len(names)
    for file in files:
        file.close(keep=False)
    for name in names:
        assert re.fullmatch(rf"tap-fullstory-[0-9a-f]{{16}}-{bundle_id}(-\d+)?\.part", name)


@pytest.mark.parametrize("bundle_id", ["170000640048", 0, 2**63 - 1])
@pytest.mark.parametrize("gaps", [0, 1, 50])
def test_files_for_a_warehouse_are_named_by_integers_and_times(tmp_path: Path, bundle_id: object, gaps: int) -> None:
    """Nothing else of what a server says stands in the name of a file, and no name is too long for a file system."""
    (bundle,) = _parse_page({"exports": [{"Id": bundle_id, "Start": 0, "Stop": 1}]})
    windows = tuple(Window(comparable(i * SECOND + 5), comparable((i + 1) * SECOND)) for i in range(gaps))
    window = replace(windows[0], also=windows[1:]) if windows else ALL
    file = Spool(tmp_path, owner=("", "")).open(bundle.id)
    file.restart()
    origins = [
        _origin(Piece(bundle, window, again=again), file, resume)
        for again in (False, True)
        for resume in (BEGINNING, Position(5, 7, 9))
    ]
    file.close(keep=False)

    names = [_named(origin) for origin in origins]

    assert 4 == len({*names})
    for name in names:
        assert re.fullmatch(rf"19700101T000000Z-{bundle_id}(-[0-9a-fTZ_-]*(-?(again|behind)_[0-9TZ_-]+)*)?", name), name
        assert len(name) < 200


def test_requests_change_nothing() -> None:
    """A sync has no way to change or delete anything at Fullstory; exports that it asks for it may cancel."""
    verbs = {"get", "post", "put", "patch", "delete", "request", "send", "head", "options", "urlopen"}
    calls = {(module, call) for module in MODULES for call in called(module) if call.rpartition(".")[2] in verbs}
    requesting = {
        (module, call) for module, call in calls if "_session." in call or call.startswith(("requests.", "urllib"))
    }

    methods = {
        node.args[0].value
        for node in nodes("client.py")
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "_Asked" and isinstance(node.args[0], ast.Constant)
    }

    assert {("client.py", "self._session.request")} == requesting
    assert {"GET", "POST", "DELETE"} == methods
    posting = {
        (module, function.name, ast.unparse(url.value))
        for module in MODULES
        for function in nodes(module)
        if isinstance(function, ast.FunctionDef) and "self._client.post_json(" in ast.unparse(function)
        for url in ast.walk(function)
        if isinstance(url, ast.Assign) and ast.unparse(url.targets[0]) == "url"
    }
    assert {
        (EXPORTER, "create", "f'{self._config.api_url}{EXPORTS}'"),
        (EXPORTER, "_cancel_export", ast.unparse(ast.parse(CANCEL))),
    } == posting


def test_only_the_user_command_deletes() -> None:
    """A sync that could reach what deletes would be one mistake away from deleting."""
    naming = {
        module
        for module in MODULES
        for node in nodes(module)
        if (isinstance(node, ast.Attribute) and node.attr == "delete_json")
        or (isinstance(node, ast.Constant) and node.value in ("DELETE", "delete_json"))
    }
    importing = {
        module
        for module in MODULES
        for node in nodes(module)
        if (isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{USER}."))
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "tap_fullstory"
            and "user" in {n.name for n in node.names}
        )
        or (isinstance(node, ast.Import) and any(f"{n.name}.".startswith(f"{USER}.") for n in node.names))
    }

    assert {"client.py", "user/deletion.py"} == naming
    assert {module for module in MODULES if module.startswith("user/")} >= importing
    assert "user/cli.py" in importing


@pytest.mark.parametrize("module", MODULES)
def test_certificates_are_always_checked(module: str) -> None:
    """A setting or a call that turns this off would give the key to whoever stands in between."""
    named = {node.arg for node in nodes(module) if isinstance(node, ast.keyword)}
    attributes = {node.attr for node in nodes(module) if isinstance(node, ast.Attribute)}

    assert set() == (named | attributes) & UNCHECKED


@pytest.mark.parametrize("setting", ["api_url", "export_url"])
@pytest.mark.parametrize(
    "url", ["http://api.fullstory.com", "ftp://localhost", "file:///etc/passwd", "http://127.0.0.1.x"]
)
def test_the_key_is_sent_by_https_alone(setting: str, url: str) -> None:
    """A key that is sent as plain text can be read on the way."""
    with pytest.raises(ConfigError, match="https"):
        parse_config({"api_key": "key", setting: url}, {})


def test_security_md_names_tests_that_exist() -> None:
    """A promise whose proof is gone is only a promise."""
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    named = re.findall(r"`(tests/[a-z_/]+\.py)(?:::(\w+))?`", text)

    assert len(named) >= 8
    for path, test in named:
        assert not test or f"def {test}(" in (ROOT / path).read_text("utf-8"), (path, test)
        assert (ROOT / path).is_file(), path
