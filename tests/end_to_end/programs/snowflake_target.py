"""`python snowflake_target.py PORT --config FILE`: target-snowflake that connects to this machine.

Its settings name an account, from which Snowflake's libraries make the address. Nothing else is changed.
"""

import sys
from typing import Any

from target_snowflake.connector import SnowflakeConnector
from target_snowflake.target import TargetSnowflake

PORT = int(sys.argv.pop(1))


class Connector(SnowflakeConnector):
    """Connects to fakesnow."""

    def get_connect_args(self) -> dict[str, Any]:
        """How to connect. Snowflake chooses the schema PUBLIC where nothing else is said; fakesnow has to be told."""
        here = {"host": "127.0.0.1", "port": PORT, "protocol": "http", "schema": "PUBLIC"}
        return {**super().get_connect_args(), **here}


class Target(TargetSnowflake):
    """Loads with this connector."""

    class default_sink_class(TargetSnowflake.default_sink_class):
        """Its sink."""

        connector_class = Connector


if __name__ == "__main__":
    sys.exit(Target.cli())
