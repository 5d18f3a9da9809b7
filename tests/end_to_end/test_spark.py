"""Events in a cluster of Spark: a master, two workers, two executors with a core each, all on this machine."""

import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator, Fault, sample_bundles
from tests.end_to_end.expected import assert_same
from tests.integration.tap import DAY, EXPORTS, FIRST, GET, HOUR, Tap, big_bundle, bundle, event, rfc

pytestmark = [
    pytest.mark.spark,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of pyspark: sockets to its Java half
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TASK_TRIES = 2
JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # what compiles quickly, for programs that do not run for long
KEY_IN_ENVIRONMENT = "KEY-OF-THE-DRIVERS-ENVIRONMENT"
REDACTED = "spark.sql.redaction.options.regex"
PUSHDOWN = "spark.sql.python.filterPushdown.enabled"
TYPES = {"string": "string", "int64": "bigint", "double": "double", "bool": "boolean"}
TYPES |= {"timestamp[us, tz=UTC]": "timestamp"}
Json = dict[str, Any]


@dataclass
class Cluster:
    """A session of Spark, and where its parts log to."""

    session: Any
    home: Path

    @property
    def driver_log(self) -> str:
        """What the driver has printed, Python's half of it included."""
        return (self.home / "driver.log").read_text("utf-8", "replace")

    def executor_logs(self) -> list[str]:
        """What each executor has printed."""
        return [path.read_text("utf-8", "replace") for path in sorted(self.home.glob("work/app-*/*/stderr"))]

    def everything_written(self) -> str:
        """All logs, the log of events too, which holds all plans."""
        events = (path.read_text("utf-8") for path in (self.home / "events").rglob("*") if path.is_file())
        return "\n".join([self.driver_log, *self.executor_logs(), *events])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for all tests: it takes some seconds to start."""
    import pyspark
    from pyspark.sql import SparkSession

    from tap_fullstory.spark import FullstoryDataSource

    home = tmp_path_factory.mktemp("spark")
    for name in ("bin", "jars", "python"):  # Spark, but with a folder of its own for what it writes
        (home / name).symlink_to(Path(pyspark.__file__).parent / name)
    (home / "events").mkdir()
    settings = {
        "spark.master": "local-cluster[2,1,1024]",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.extraJavaOptions": JAVA,
        "spark.executor.extraJavaOptions": JAVA,
        "spark.eventLog.compress": "false",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": (home / "events").as_uri(),
        "spark.local.dir": str(home),
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",  # begin when both executors are there
        "spark.scheduler.maxRegisteredResourcesWaitingTime": "120s",
        "spark.sql.session.timeZone": "America/New_York",  # what is the same in all zones is right in each
        "spark.sql.warehouse.dir": str(home / "warehouse"),
        "spark.task.maxFailures": str(TASK_TRIES),
        "spark.ui.enabled": "false",
    }
    environment = {
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "TAP_FULLSTORY_API_KEY": KEY_IN_ENVIRONMENT,
    }
    with pytest.MonkeyPatch.context() as patch, (home / "driver.log").open("wb") as log:
        for name, value in environment.items():
            patch.setenv(name, value)
        logging.getLogger("py4j").setLevel(logging.WARNING)  # it has something to say until the very end
        builder = SparkSession.builder.appName("tap-fullstory")
        for name, value in settings.items():
            builder = builder.config(name, value)
        stderr = os.dup(2)
        os.dup2(log.fileno(), 2)  # the driver is a process that takes over ours
        try:
            session = builder.getOrCreate()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        session.dataSource.register(FullstoryDataSource)
        try:
            yield Cluster(session, home)
        finally:
            session.stop()


@pytest.fixture
def tap(tmp_path: Path, shop: Emulator) -> Tap:
    """The tap with a folder of its own, pointed at *shop*."""
    return Tap(tmp_path, shop)


def load(cluster: Cluster, tap: Tap, settings: "Json | None" = None, schema: str = "", **options: str) -> Any:
    """A data frame of the events; settings are in a file, options are named."""
    options = {"config": tap.file("config.json", tap.settings(settings)), **options}
    reader = cluster.session.read.format("fullstory").options(**options)
    return (reader.schema(schema) if schema else reader).load()


def to_parquet(tap: Tap, settings: "Json | None" = None) -> Path:
    """The folder into which `--to` has written the same events."""
    folder = tap.folder / "files"
    config = tap.file("config.json", tap.settings(settings))
    run = tap.bare(["--config", config, "--to", str(folder)])
    assert 0 == run.returncode, run.stderr.decode()
    return folder / "events"


def read_parquet(folder: Path) -> Any:
    """The table in the files of a folder, as pyarrow reads it."""
    import pyarrow.parquet

    return pyarrow.parquet.read_table(folder)


def rows(table: Any) -> list[Json]:
    """The rows of an Arrow table, times in microseconds, so that no zone is compared."""
    import pyarrow as pa

    fields = [
        one.with_type(pa.timestamp("us", "UTC")) if pa.types.is_timestamp(one.type) else one for one in table.schema
    ]
    plain = [one.with_type(pa.int64()) if pa.types.is_timestamp(one.type) else one for one in fields]
    found: list[Json] = table.cast(pa.schema(fields)).cast(pa.schema(plain)).to_pylist()
    return found


def numbers(frame: Any) -> list[int]:
    """What `event` calls the numbers of events, sorted."""
    return sorted(row.UserId for row in frame.select("UserId").collect())


def assert_same_table(folder: Path, frame: Any) -> None:
    """The data frame has the columns, the types and the rows of the files in a folder."""
    expected = read_parquet(folder)
    assert [(one.name, TYPES[str(one.type)]) for one in expected.schema] == frame.dtypes
    assert_same(rows(expected), rows(frame.toArrow()))


def all_kinds() -> list[Bundle]:
    """Bundles of real and invented events, of awkward values, and empty ones."""
    invented = Emulator.generated(days=3, events_per_bundle=400, now=FIRST + 5 * DAY).bundles
    awkward = [
        event(1, FIRST + 7 * DAY + HOUR, EventTargetText='"\\\n\t\0 \ud800 é', PageUrl=""),
        {
            **event(2),
            "EventStart": rfc(FIRST + 7 * DAY + HOUR, ".123456789"),
            "PageStart": "2023-11-22T01:02:03.5+01:00",
        },
        {**event(3), "EventStart": "not a time", "PageDuration": 2**63 - 1, "EventCumulativeLayoutShift": 5},
        {"UserId": 4, "EventCumulativeLayoutShift": 0.1, "user_vip_bool": True, "evt_price_real": 7.25},
        event(
            5, FIRST + 7 * DAY, PageDuration="12", user_plan_str="gold", user_vip_bool="maybe", evt_at_date="2023-11-01"
        ),
    ]
    return [
        *sample_bundles(),
        *invented,
        Bundle(FIRST + 6 * DAY, FIRST + 7 * DAY, []),
        Bundle(FIRST + 7 * DAY, FIRST + 8 * DAY, awkward),
    ]


CUSTOM = {
    "event_key": True,
    "custom_columns": ["user_vip_bool", "evt_price_real", "evt_at_date", {"name": "user_plan_str", "column": "plan"}],
}


@pytest.mark.parametrize("settings", [{}, CUSTOM], ids=["usual", "key and custom columns"])
def test_rows_are_those_of_files(cluster: Cluster, tap: Tap, shop: Emulator, settings: Json) -> None:
    """Every value and every type is what `--to` writes into Parquet: who changes the road must not notice."""
    shop.bundles = all_kinds()
    settings = {**settings, "start_date": "2010-01-01T00:00:00Z"}

    frame = load(cluster, tap, settings)

    assert_same_table(to_parquet(tap, settings), frame)
    assert [] == tap.waiting()


def test_files_are_loaded_by_spark_itself(cluster: Cluster, tap: Tap, shop: Emulator) -> None:
    """`spark.read.parquet`, as the README has it, finds the same types and moments."""
    shop.bundles = all_kinds()

    folder = to_parquet(tap, {**CUSTOM, "start_date": "2010-01-01T00:00:00Z"})

    assert_same_table(folder, cluster.session.read.parquet(str(folder)))


def test_two_executors_share_the_bundles(cluster: Cluster, tap: Tap, shop: Emulator) -> None:
    """A partition for each bundle, read by both; what the tap says of it is in the logs of both."""
    shop.bundles = [bundle(day, first=10 * day) for day in range(6)]
    before = [log.count("1 bundle finished") for log in cluster.executor_logs()]

    frame = load(cluster, tap)

    assert 6 == frame.rdd.getNumPartitions()
    assert [10 * day + number for day in range(6) for number in range(3)] == numbers(frame)
    read = [log.count("1 bundle finished") - n for log, n in zip(cluster.executor_logs(), before, strict=True)]
    assert 2 == len(read)
    assert 6 == sum(read)
    assert all(read), read


def test_dates_cut_bundles(cluster: Cluster, tap: Tap, shop: Emulator) -> None:
    """Bundles that straddle `start_date` or `end_date` are filtered by time, as options or as settings in a file."""
    shop.bundles = [bundle(day, 24, first=100 * day, hours=24) for day in range(4)]
    for one in shop.bundles:  # an event an hour
        one.events = [event(e["UserId"], one.start + i * HOUR) for i, e in enumerate(one.read_events())]
    dates = {"start_date": rfc(FIRST + 20 * HOUR), "end_date": rfc(FIRST + 3 * DAY + 2 * HOUR, ".000000001")}

    frame = load(cluster, tap, **dates)

    expected = [*range(20, 24), *range(100, 124), *range(200, 224), 300, 301, 302]
    assert expected == numbers(frame)
    assert expected == numbers(load(cluster, tap, dates))
    assert_same_table(to_parquet(tap, dates), frame)


def test_bundles_that_overlap_are_read_once(cluster: Cluster, tap: Tap, shop: Emulator) -> None:
    """Twins, other lengths, and gaps that a longer one fills: the same rows as one process, whoever reads what."""
    hourly = partial(bundle, hours=1)
    shop.bundles = [
        bundle(0, 24, first=0),
        Bundle(FIRST, FIRST + DAY, [event(1000)], id=17),
        bundle(1, 24, first=100),
        Bundle(FIRST + DAY + 12 * HOUR, FIRST + 2 * DAY, [event(1100, FIRST + DAY + 13 * HOUR)]),
        Bundle(
            FIRST + DAY + 18 * HOUR,
            FIRST + 2 * DAY + 6 * HOUR,
            [event(1200 + hour, FIRST + DAY + (18 + hour) * HOUR) for hour in range(12)],
        ),
        *(hourly(hour, 2, first=10 * hour) for hour in (72, 74, 77)),
        Bundle(
            FIRST + 3 * DAY,
            FIRST + 4 * DAY,
            [event(2000 + hour, FIRST + 3 * DAY + hour * HOUR) for hour in range(24)],
        ),
    ]
    folder = to_parquet(tap)

    frame = load(cluster, tap)

    assert 3 == frame.rdd.getNumPartitions()
    assert {2001, 2003, 2023} <= set(numbers(frame))
    assert_same_table(folder, frame)
    assert_same_table(folder, load(cluster, tap, window="7d", prefetch="0"))
    hole = "No bundle covers 2023-11-17T06:00:00Z to 2023-11-18T00:00:00Z."
    assert hole in cluster.driver_log


def test_nothing_to_read_is_no_error(cluster: Cluster, tap: Tap, shop: Emulator) -> None:
    """An account without bundles, and a span without any: an empty frame with all columns."""
    assert [] == load(cluster, tap).collect()
    shop.bundles = [bundle(0)]

    frame = load(cluster, tap, start_date=rfc(FIRST + 9 * DAY), end_date=rfc(FIRST + 10 * DAY))

    assert [] == frame.collect()
    assert "_bundle_id" == frame.columns[-1]


def test_partitions_hold_as_many_bundles_as_fit_into_a_window(cluster: Cluster, tap: Tap, shop: Emulator) -> None:
    """Very many small bundles need not be very many tasks."""
    shop.bundles = [bundle(day, first=10 * day) for day in range(7)]

    frame = load(cluster, tap, WINDOW="48h")

    assert 4 == frame.rdd.getNumPartitions()
    assert 21 == len(numbers(frame))


def test_a_schema_is_the_selection(cluster: Cluster, tap: Tap, shop: Emulator) -> None:
    """Only what is asked for is decoded, in the order asked for; values that then have no column are dropped."""
    shop.bundles = [bundle(0), bundle(1)]

    frame = load(cluster, tap, schema="UserId bigint, EventStart timestamp")

    assert [("UserId", "bigint"), ("EventStart", "timestamp")] == frame.dtypes
    assert [0, 1, 2, 100, 101, 102] == numbers(frame)
    assert 6 == load(cluster, tap, schema="EventType string").where("EventType = 'click'").count()


def test_a_schema_makes_exports_smaller(cluster: Cluster, tmp_path: Path, shop: Emulator) -> None:
    """With Segment Export, only what is asked for is exported; listing asks for no export at all."""
    shop.bundles = [bundle(0), bundle(1)]
    tap = Tap(tmp_path, shop, "segment_export")

    frame = load(cluster, tap, {"prefetch": 1}, schema="EventStart timestamp, UserId bigint")

    assert 2 == frame.rdd.getNumPartitions()
    assert 0 == shop.count(EXPORTS)
    assert [0, 1, 2, 100, 101, 102] == sorted(row.UserId or 0 for row in frame.collect())
    asked = [json.loads(one.body) for one in shop.requests if one.path == EXPORTS]
    assert [["EventStart", "UserId"]] * 2 == [one["fields"] for one in asked]


def test_a_catalog_is_the_selection(cluster: Cluster, tap: Tap, shop: Emulator) -> None:
    """Columns that it deselects are not there, and what it does not know goes into CustomVars."""
    shop.bundles = [bundle(0, 1)]
    metadata = [{"breadcrumb": ["properties", "PageUrl"], "metadata": {"selected": False}}]
    properties = {name: {"type": ["null", "string"]} for name in ("EventType", "PageUrl")}
    catalog = {"streams": [{"tap_stream_id": "events", "schema": {"properties": properties}, "metadata": metadata}]}

    frame = load(cluster, tap, catalog=tap.file("catalog.json", catalog))

    assert ["EventStart", "EventType", "CustomVars", "_bundle_id"] == frame.columns
    assert ['{"UserId":0}'] == [row.CustomVars for row in frame.collect()]


def test_filters_on_time_leave_bundles_out(cluster: Cluster, tap: Tap, shop: Emulator) -> None:
    """With `push_filters`, bundles that a filter rules out are not downloaded; the rows are those without it."""
    from pyspark.sql import datasource

    shop.bundles = [bundle(day, first=10 * day) for day in range(6)]
    condition = f"EventStart > timestamp '{rfc(FIRST + 2 * DAY)}' AND EventStart <= timestamp '{rfc(FIRST + 4 * DAY)}'"

    usual = numbers(load(cluster, tap).where(condition))
    downloads = shop.count(GET)
    cluster.session.conf.set(PUSHDOWN, "true")
    try:
        pushed = numbers(load(cluster, tap, push_filters="true").where(condition))
    finally:
        cluster.session.conf.unset(PUSHDOWN)

    assert [21, 22, 30, 31, 32, 40] == usual == pushed
    assert 6 == downloads
    assert 6 + (3 if hasattr(datasource, "Filter") else 6) == shop.count(GET)  # Spark 4.0 pushes nothing down


def test_executors_wait_as_they_are_told(cluster: Cluster, tap: Tap, shop: Emulator) -> None:
    """A 429 in the middle costs time, not a task."""
    shop.bundles = [bundle(day, first=10 * day) for day in range(4)]
    shop.faults = [Fault(GET, skip=1, times=2, status=429, headers={"Retry-After": "1"})]

    assert 12 == len(numbers(load(cluster, tap, retry_timeout="0")))
    assert 4 + 2 == shop.count(GET)


def test_a_killed_task_is_done_again(cluster: Cluster, tap: Tap, shop: Emulator) -> None:
    """What a task has given to Spark before it died is not there twice, and what it left on disk is used or removed."""
    killed: list[int] = []

    def kill(one: Bundle, nth: int) -> None:
        if one.start == FIRST + DAY and nth == 1:
            killed.extend(python_workers())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    shop.bundles = [big_bundle(20_000), bundle(1, first=50_000)]
    shop.remake = kill

    frame = load(cluster, tap, window="2d", prefetch="0")

    assert 1 == frame.rdd.getNumPartitions()
    assert [*range(20_000), 50_000, 50_001, 50_002] == numbers(frame)
    assert killed
    assert "crashed" in cluster.driver_log
    assert [] == tap.waiting()


def python_workers() -> list[int]:
    """The processes that run Python code for executors: children of a daemon, whose command they share."""
    found: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if b"pyspark.daemon" in (path / "cmdline").read_bytes():
                found[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    ours = {pid for pid, parent in found.items() if parent in found and is_ours(pid)}
    return sorted(ours)


def is_ours(pid: int) -> bool:
    """Whether a process descends from this one."""
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


@pytest.mark.parametrize("options, says", [
    ({"prefetch": "many"}, '"prefetch" is not as expected: found "many", expected a whole number, 0 or more.'),
    ({"start_date": "soon"}, '"start_date" is not as expected: found "soon", expected an RFC 3339 date'),
    ({"window": "1w"}, "\"window\" is not as expected: found '1w', expected hours or days, such as 48h or 7d."),
    ({"push_filters": "1"}, "\"push_filters\" is not as expected: found '1', expected true or false."),
    ({"config": "nowhere"}, "The config file 'nowhere' cannot be read (No such file or directory)."),
    ({"catalog": "nowhere"}, "The catalog file 'nowhere' cannot be read (No such file or directory)."),
    ({"schema": "PageUrls string"}, 'names a column "PageUrls", which is not selected; did you mean "PageUrl"?'),
    ({"schema": "UserId string"}, 'The schema has "UserId string", but the column is "UserId bigint".'),
    ({"schema": "UserId int not null"}, 'The schema has "UserId int not null", but the column is "UserId bigint".'),
])  # fmt: skip
def test_wrong_options_are_named(
    cluster: Cluster, tap: Tap, shop: Emulator, options: dict[str, str], says: str
) -> None:
    """What the tap has to say of an option reaches the user, before anything is asked of Fullstory."""
    with pytest.raises(Exception, match=r"(Config|Catalog)Error: ") as raised:
        load(cluster, tap, **options).collect()

    assert says in str(raised.value)
    assert [] == shop.requests


def test_settings_may_be_in_the_environment_of_the_driver(cluster: Cluster, tap: Tap, shop: Emulator) -> None:
    """Where there is no place for a file, a key still needs not be an option."""
    shop.api_key = KEY_IN_ENVIRONMENT
    shop.bundles = [bundle(0)]

    frame = load(cluster, tap, config="ENV", export_url=shop.url, start_date=rfc(FIRST), spool_dir=str(tap.spool))

    assert [0, 1, 2] == numbers(frame)


def test_an_unknown_option_is_warned_of(cluster: Cluster, tap: Tap, shop: Emulator) -> None:
    """A mistyped option would be taken for one that does nothing."""
    assert [] == load(cluster, tap, start_dat="2023-11-15").collect()

    assert 'The setting "start_dat" is not known and is ignored; did you mean "start_date"?' in cluster.driver_log


def test_a_wrong_key_is_said_by_the_driver(cluster: Cluster, tap: Tap, shop: Emulator) -> None:
    """Nothing is tried on an executor with a key that does not do."""
    shop.bundles = [bundle(0)]

    with pytest.raises(Exception, match=r"AuthError: Fullstory refused the API key \(HTTP 401") as raised:
        load(cluster, tap, {"api_key": "WRONG-KEY-OF-SPARK"}).collect()

    assert "WRONG-KEY-OF-SPARK" not in str(raised.value)
    assert 0 == shop.count(GET)


def test_an_error_on_an_executor_is_one_line(cluster: Cluster, tap: Tap, shop: Emulator) -> None:
    """The driver hears what the tap has to say, and nothing of the exceptions that led to it, which name links."""
    shop.bundles = [bundle(0), bundle(1)]
    shop.faults = [Fault(GET, match={"id": str(shop.bundles[1].id)}, times=None, reset=True)]

    with pytest.raises(Exception, match="TransientError: ") as raised:
        load(cluster, tap, retry_timeout="0").collect()

    assert "Run again with the last state" in str(raised.value)
    assert "requests.exceptions" not in str(raised.value)
    assert "direct cause" not in str(raised.value)


@pytest.mark.parametrize("as_options", [False, True], ids=["in the file", "as options"])
def test_secrets_are_in_no_plan_and_no_log(
    cluster: Cluster, tap: Tap, shop: Emulator, capsys: pytest.CaptureFixture[str], as_options: bool
) -> None:
    """Keys and headers stay out of plans, errors, logs and Spark's log of events; as options, only with a setting."""
    mark = f"NOBODY-{as_options}"
    shop.api_key = f"KEY-THAT-{mark}-SEES"
    shop.bundles = [bundle(0)]
    secrets = {"api_key": shop.api_key, "hash_key": f"HASHES-THAT-{mark}-MAKES"}
    headers = {"X-Proxy": f"HEADER-THAT-{mark}-SEES"}

    def loaded(**changes: str) -> Any:
        if as_options:
            return load(cluster, tap, {"api_key": None}, **{**secrets, "http_headers": json.dumps(headers), **changes})
        return load(cluster, tap, {**secrets, "http_headers": headers, **changes})

    if as_options:
        cluster.session.conf.set(REDACTED, "(?i)url|key|headers")
    try:
        frame = loaded()
        for mode in ("simple", "extended", "codegen", "cost", "formatted"):
            frame.explain(mode)
        assert 3 == frame.count()
        frame.createOrReplaceTempView("events")
        cluster.session.sql("SELECT count(*) FROM events").explain("extended")
        with pytest.raises(Exception, match="AuthError") as raised:
            loaded(api_key=f"OTHER-THAT-{mark}-SEES").collect()
    finally:
        cluster.session.conf.unset(REDACTED)

    seen = "\n".join([*capsys.readouterr(), str(raised.value), cluster.everything_written()])
    assert "BatchScan fullstory" in seen
    assert "1 bundle finished" in seen
    assert mark not in seen
    assert as_options == ('"api_key" is an option, and Spark writes options into' in cluster.driver_log)
