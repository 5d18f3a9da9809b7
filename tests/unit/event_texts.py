"""Events as text, of every kind that JSON allows and some that it does not, for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.unit import judge

NUMBERS = (
    *b"0 -0 1 -1 12 2.0 -2.0 2.50 2e3 2E+3 20e-1 25e-1 1E5 0.1 -0.0 0.0 0e99999 -0e-7 1e-400 1e400 -1e400 1e308 1.8e308"
    b" 5e-324 9007199254740991 9007199254740992 9007199254740993 9007199254740993.0 0.9007199254740993e16"
    b" 9223372036854775807 9223372036854775807.0 9223372036854775808 -9223372036854775808 -9223372036854775809"
    b" -9223372036854775808.0 9.223372036854775807e18 18446744073709551615 18446744073709551616 18446744073709551617"
    b" 100000000000000000000 1e18 1e19 1e20 123456789012345678901234567890 1234567890123456789.0000000000000000001"
    b" 0.30000000000000004 1.7976931348623157e308 3.141592653589793238462643383279 1e15 1e16 1e17 1e21 1e22 1e23"
    b" 123456789.125 -1.5e-9".split(),
    *b"2147483647 2147483648 -2147483648 -2147483649 4294967295 4294967296 -9007199254740991 -9007199254740993"
    b" 18446744073709551614 -18446744073709551616 1E+2 0.1e1 1e-7 1E-07 1e+007 -1.0E+0 100e-2 9.223372036854775808E+18"
    b" 2.2250738585072011e-308 0.1000000000000000055511151231257827021181583404541015625".split(),
    b"1" + b"0" * 308,
    b"1" * 310,
    b"1." + b"0" * 400 + b"1",
)

# Pieces of strings: escapes, what must not be cut at, what no target survives, what is no UTF-8.
PIECES = (
    *(b'a b 12 - . T Z : }, },{ },\n{ ]} ] [{ {} , \\n \\t \\\\ \\/ \\" \\b\\f\\r \\u001f \\u0041 \\u00e9'.split(b" ")),
    *(
        b"\\ud83d\\ude00",
        b"\\ud800",
        b"\\udc00",
        b"\\ud800\\ud800",
        b"\\udc00\\ud800",
        b"\\u0000",
        b"\\\\u0000",
        b"\\ud800a",
    ),
    *("é", "😀", "\u2028", "\x7f", "\ufffd", "ß漢"),
    *(b"\xff", b"\xed\xa0\x80", b"\xc3", b"\xf0\x9f", b"\t", b"\n", b"\x01", b"\x00"),
)
PLAIN_PIECES = (b"a", b"Z", b" ", b"\\n", b"\\\\", b"},{", b"]", b'\\"', "é".encode(), b"\\ud83d\\ude00")

TIMES = tuple(
    b'"%b"' % text
    for text in (
        b"2024-02-29T23:59:59.999999999Z",
        b"2024-01-01T00:00:00Z",
        b"2024-01-01T00:00:00.000Z",
        b"2024-01-01T00:00:00.5Z",
        b"2024-01-01T00:00:00.500Z",
        b"2024-01-01T00:00:00",
        b"2024-01-01 00:00:00",
        b"2024-01-01t00:00:00z",
        b"2024-01-01T00:30:00+01:00",
        b"2023-12-31T23:30:00.120-05:30",
        b"2024-01-01T00:00:00-00:00",
        b"0001-01-01T00:00:00Z",
        b"0999-12-31T23:00:00-02:00",
        b"9999-12-31T23:59:59.9Z",
        b"2024-01-01T00:00:0\\u0030Z",
    )
)
NO_TIMES = tuple(
    b'"%b"' % text
    for text in (
        b"",
        b"Z",
        b"2024-01-01",
        b"2023-02-29T00:00:00Z",
        b"2024-01-01T24:00:00Z",
        b"2024-01-01T00:00:60Z",
        b"2024-01-01T00:00Z",
        b"2024-01-01T00:00:00.Z",
        b"2024-01-01T00:00:00,5Z",
        b"2024-01-01T00:00:00+0100",
        b"2024-01-01T00:00:00+24:00",
        b"0001-01-01T00:00:00+00:01",
        b"9999-12-31T23:59:59-00:01",
        b"0000-01-01T00:00:00Z",
        b"2024-01-01T00:00:00Z2024-01-02T00:00:00Z",
        b" 2024-01-01T00:00:00Z",
        b"2024-01-01T00:00:00Z\\n",
        "２０２４-01-01T00:00:00Z".encode(),
    )
)

WHITE = st.sampled_from((b"", b"", b"", b"", b" ", b"\n", b"\t", b"\r", b"\r\n\t ", b"\n" + b" " * 20))


def _bytes(piece: bytes | str) -> bytes:
    return piece.encode() if isinstance(piece, str) else piece


_digits = st.text("0123456789", min_size=1, max_size=25)
# Any number that JSON can write: leading zeros it cannot, so they are taken away.
notations = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(("", "-")),
    _digits.map(lambda one: one.lstrip("0") or "0"),
    st.just("") | _digits.map(".{}".format),
    st.just("") | st.builds("{}{}".format, st.sampled_from(("e", "E", "e+", "E+", "e-", "E-")), st.integers(0, 400)),
).map(str.encode)
_limits = st.builds(
    "{}{:d}{}".format,
    st.sampled_from(("", "-")),
    st.builds(lambda power, more: 2**power + more, st.sampled_from((31, 32, 53, 63, 64, 128)), st.integers(-2, 2)),
    st.sampled_from(("", "", ".0", "e0", ".5")),
).map(str.encode)
numbers = (
    st.sampled_from(NUMBERS)
    | notations
    | _limits
    | st.integers(-(2**70), 2**70).map(lambda one: b"%d" % one)
    | st.floats(allow_nan=False, allow_infinity=False).map(lambda one: repr(one).encode())
)
integers = st.integers(judge.LEAST, judge.GREATEST).map(lambda one: b"%d" % one)
texts = st.lists(st.sampled_from(tuple(map(_bytes, PIECES))), max_size=5).map(lambda parts: b'"%b"' % b"".join(parts))
plain_texts = st.lists(st.sampled_from(PLAIN_PIECES), max_size=4).map(lambda parts: b'"%b"' % b"".join(parts))
number_texts = st.sampled_from(NUMBERS).map(lambda one: b'"%b"' % one)
constants = st.sampled_from((b"null", b"true", b"false"))
scalars = numbers | texts | constants | number_texts | st.sampled_from(TIMES + NO_TIMES)


@st.composite
def _arrays(draw: st.DrawFn, values: st.SearchStrategy[bytes]) -> bytes:
    parts = [draw(WHITE) + one + draw(WHITE) for one in draw(st.lists(values, max_size=3))]
    return b"[%b]" % (b",".join(parts) if parts else draw(WHITE))


@st.composite
def objects(draw: st.DrawFn, members: st.SearchStrategy[tuple[bytes, bytes]], most: int) -> bytes:
    """Objects of *members*, any white space between the tokens."""
    parts = [
        b"".join((draw(WHITE), name, draw(WHITE), b":", draw(WHITE), value, draw(WHITE)))
        for name, value in draw(st.lists(members, max_size=most))
    ]
    return b"{%b}" % (b",".join(parts) if parts else draw(WHITE))


_inner_names = st.sampled_from(
    (
        *(b'"a"', b'"b"', b'"\\u0061"', b'""', b'"\\u0000"', '"é"'.encode(), b'"Z"', b'"a.b"'),
        *(b'"\\ud800"', b'"\\\\u0000"', b'"\xed\xa0\x80"', b'"},{"'),
    )
)
nested = st.recursive(
    scalars,
    lambda values: _arrays(values) | objects(st.tuples(_inner_names, values), 3),
    max_leaves=6,
)

FITTING: dict[str, st.SearchStrategy[bytes]] = {
    **dict.fromkeys(judge.INTEGERS, integers),
    **dict.fromkeys(
        judge.NUMBERS, integers | st.floats(allow_nan=False, allow_infinity=False).map(lambda one: repr(one).encode())
    ),
    **dict.fromkeys(judge.TIMES, st.sampled_from(TIMES)),
    **dict.fromkeys((*judge.TEXTS, judge.NEWER_AGENT), plain_texts),
}
CUSTOM = (
    *(
        '"evt_x_str"',
        '"evt_order.total_real"',
        '"evt_Z"',
        '"evt_"',
        '"user_plan_str"',
        '"page_n_int"',
        '"acct_on_bool"',
    ),
    *(
        '"event_id"',
        '"_bundle_id"',
        '"CustomVars"',
        '"type"',
        '""',
        '"userid"',
        '"EventStart "',
        '"evt_\\u0000"',
        '"é_漢"',
    ),
    *('"evt_t_date"', '"evt_l_strs"', '"user_n_ints"', '"evt_order_total_real"', '"plan"', '"evt_l\\u005fstrs"'),
    *('"evt_\\ud83d\\ude00"', '"\\udc00"', '"evt_},{"', '"evt_x\\u005fstr"'),
    *('"evt_\\\\u0000"', '"evt_\ufffd"', '"evt_\\ud800x"', '"USERID"', '"event_ID"', '"customvars"'),
    *(b'"evt_\xed\xa0\x80"', b'"evt_\xff"'),
)
_custom_names = st.sampled_from(tuple(map(_bytes, CUSTOM)))
_columns = st.sampled_from(sorted(FITTING)) | st.sampled_from(
    (*judge.IDENTIFYING, "EventCumulativeLayoutShift", "SessionStart", judge.AGENT, judge.NEWER_AGENT)
)


@st.composite
def _column_members(draw: st.DrawFn, *, odd: bool) -> tuple[bytes, bytes]:
    name = draw(_columns)
    if odd and name in (judge.AGENT, judge.NEWER_AGENT):
        agents = b'"a" "a" "b" "5" 5 5.0 null {} [] true "\\u0000" 1e400'.split()
        return b'"%b"' % name.encode(), draw(st.sampled_from(agents))
    return b'"%b"' % name.encode(), draw(nested if odd and draw(st.booleans()) else FITTING[name] | st.just(b"null"))


_simple_custom = st.tuples(_custom_names, integers | plain_texts | constants | st.just(b"0.5"))
# What fits a column of its own.
_TYPED: dict[str, st.SearchStrategy[bytes]] = {
    "evt_x_str": plain_texts,
    "evt_order.total_real": FITTING["EventCumulativeLayoutShift"],
    "page_n_int": integers,
    "acct_on_bool": st.sampled_from((b"true", b"false")),
    "evt_t_date": st.sampled_from(TIMES),
    "evt_l_strs": _arrays(plain_texts),
    "user_n_ints": _arrays(integers),
}
_typed_custom = st.sampled_from(sorted(_TYPED)).flatmap(
    lambda name: st.tuples(st.just(b'"%b"' % name.encode()), _TYPED[name] | st.just(b"null"))
)

# As documented; as documented with custom variables; anything.
plain_events = objects(_column_members(odd=False), 8)
custom_events = objects(_column_members(odd=False) | _simple_custom, 8)
typed_events = objects(_column_members(odd=False) | _typed_custom, 8)
odd_events = objects(_column_members(odd=True) | st.tuples(_custom_names, nested), 8)
# One name several times, also spelled with an escape and under the two names of one column; the last one counts.
_REPEATED = (
    (b'"UserId"', b'"User\\u0049d"'),
    (b'"EventTargetText"',),
    (b'"EventStart"',),
    (b'"PageAgent"', b'"PageUserAgent"'),
    (b'"evt_x_str"', b'"evt_x\\u005fstr"'),
    (b'"event_id"', b'"CustomVars"'),
)
repeating_events = st.lists(st.sampled_from(_REPEATED), min_size=1, max_size=2, unique=True).flatmap(
    lambda names: objects(st.tuples(st.sampled_from([one for group in names for one in group]), nested), 6)
)
events = plain_events | custom_events | typed_events | odd_events | repeating_events


@st.composite
def bundles(draw: st.DrawFn, some: st.SearchStrategy[bytes] = events, most: int = 6) -> tuple[bytes, list[bytes]]:
    """Return the text of a bundle, and its events."""
    chosen = draw(st.lists(some, max_size=most))
    parts = [draw(WHITE) + one + draw(WHITE) for one in chosen]
    return b"%b[%b]%b" % (draw(WHITE), b",".join(parts), draw(WHITE)), chosen
