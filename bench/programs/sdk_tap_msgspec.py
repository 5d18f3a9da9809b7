"""The tap on the Meltano SDK, with the SDK's faster encoder."""

from singer_sdk.contrib.msgspec import MsgSpecWriter

from bench.programs.sdk_tap import TapFullstory


class TapFullstoryMsgspec(TapFullstory):
    """The same tap, written out by msgspec."""

    message_writer_class = MsgSpecWriter


if __name__ == "__main__":
    TapFullstoryMsgspec.cli()
