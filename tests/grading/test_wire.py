"""Values on the wire: what arrives is what was sent, and nothing else can be made to arrive."""

import collections
import datetime
import decimal
import enum
import fractions
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from selfcorrect.grading.sandbox.wire import Decoder, Encoder, WireError

Point = collections.namedtuple("Point", "x y")


class Zone(datetime.tzinfo):
    """One of a program's own."""


class Colour(enum.IntEnum):
    RED = 4


class Stranger:
    """What is no data."""


def refer(value: Any) -> list[Any]:
    return ["object", value.__class__.__name__]


def resolve(node: list[Any]) -> Any:
    if node[0] == "object":
        return Reference(node[1])
    raise WireError("neither data nor an object")


class Reference(str):
    """What stands for an object of the other side."""


def over_the_wire(value: Any) -> Any:
    return Decoder(resolve).value(json.loads(json.dumps(Encoder(refer).node(value))))


def shape(value: Any, seen: dict[int, int] | None = None) -> Any:
    """A value written down: types, contents, and which containers are one and the same."""
    seen = {} if seen is None else seen
    kind = type(value).__name__
    if isinstance(value, list | set | dict | bytearray | collections.deque):
        if id(value) in seen:
            return ("seen", seen[id(value)])
        seen[id(value)] = len(seen)
    if isinstance(value, set | frozenset):
        return (kind, sorted(repr(shape(item, seen)) for item in value))
    if isinstance(value, dict):
        return (kind, [(shape(key, seen), shape(item, seen)) for key, item in value.items()])
    if isinstance(value, list | tuple | collections.deque):
        return (kind, [shape(item, seen) for item in value])
    return (kind, hex(value) if isinstance(value, int) else repr(value))


HASHABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**200), 2**200)
    | st.floats()
    | st.complex_numbers()
    | st.text()
    | st.sampled_from(["\ud800", "a\udfffb", "\0", ..., NotImplemented, int, ValueError, object])
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.dates()
    | st.times().map(lambda time: time.replace(fold=0))
    | st.datetimes().map(lambda time: time.replace(fold=0))
    | st.timedeltas()
    | st.builds(range, st.integers(), st.integers(), st.integers().filter(bool)),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=8,
)
VALUES = st.recursive(
    HASHABLE | st.binary().map(bytearray) | st.just(decimal.Decimal("sNaN")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.lists(inner, max_size=4).map(collections.deque)
        | st.sets(HASHABLE, max_size=4)
        | st.builds(
            lambda kind, items: kind(items),
            st.sampled_from(
                [dict, collections.OrderedDict, lambda items: collections.defaultdict(None, items)]
            ),
            st.dictionaries(HASHABLE, inner, max_size=4),
        )
        | st.dictionaries(HASHABLE, st.integers(), max_size=4).map(collections.Counter)
    ),
    max_leaves=12,
)


@given(VALUES)
@example([float("nan"), float("inf"), -0.0, complex(-0.0, float("nan"))])
@example([2**53, -(2**53), 2**53 - 1, 10**5000])
@example({"outcome": "passed", "result": ["list", 0, []]})
def test_what_arrives_is_what_was_sent(value: Any) -> None:
    assert shape(over_the_wire(value)) == shape(value)


@st.composite
def graphs(draw: st.DrawFn) -> Any:
    """Containers that hold one another, and themselves, in any way."""
    kinds = st.sampled_from([list, dict, collections.deque, collections.OrderedDict])
    containers = [kind() for kind in draw(st.lists(kinds, min_size=1, max_size=6))]
    numbers = st.integers(0, len(containers) - 1)
    for into, what, wrapped in draw(st.lists(st.tuples(numbers, numbers, st.booleans()))):
        item = (containers[what], 4) if wrapped else containers[what]
        if isinstance(containers[into], dict):
            containers[into][len(containers[into])] = item
        else:
            containers[into].append(item)
    return tuple(containers[number] for number in draw(st.lists(numbers, max_size=4)))


@given(graphs())
def test_one_container_arrives_as_one_and_a_cycle_as_a_cycle(value: Any) -> None:
    assert shape(over_the_wire(value)) == shape(value)


@given(st.lists(VALUES, min_size=1, max_size=3), VALUES)
def test_changes_of_what_was_passed_come_back_into_the_same_containers(
    values: list[Any], addition: Any
) -> None:
    here = Encoder(refer)
    there = Decoder(resolve)
    passed = there.value(json.loads(json.dumps(here.node(values))))
    sent = [there.containers[number] for number in range(len(there.containers))]
    before = shape(values)
    back = Encoder(refer)
    back.know(sent)
    passed.append(addition)
    changes = [back.contents(container) for container in sent]
    answer = back.node(passed)

    receiving = Decoder(resolve)
    receiving.know(here.containers)
    for change in json.loads(json.dumps(changes)):
        receiving.value(change)

    assert receiving.value(json.loads(json.dumps(answer))) is values
    assert shape(values) == shape(passed) != before


@pytest.mark.parametrize("kind", [dict, collections.OrderedDict, collections.Counter])
@pytest.mark.parametrize("view", ["keys", "values", "items"])
def test_views_of_a_dictionary_arrive_as_such_in_their_order(kind, view: str) -> None:
    value = kind({"b": 2, "a": 1, (3,): 3})
    there = over_the_wire(getattr(value, view)())
    assert list(there) == list(getattr(value, view)())
    assert type(there) is type(getattr({}, view)())
    assert not over_the_wire(getattr(kind(), view)())


@pytest.mark.parametrize("offset", [datetime.timedelta(0), datetime.timedelta(hours=-5)])
def test_a_time_keeps_its_offset(offset: datetime.timedelta) -> None:
    zone = datetime.timezone(offset)
    for value in (datetime.datetime(2024, 1, 1, 12, tzinfo=zone), datetime.time(12, tzinfo=zone)):
        assert over_the_wire(value) == value
        assert over_the_wire(value).utcoffset() == offset


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (Point(1, 2), (1, 2)),
        (Colour.RED, 4),
        (type("Text", (str,), {"__str__": lambda _: "lie"})("text"), "text"),
        (type("Real", (float,), {"__float__": lambda _: 0.0})(4.5), 4.5),
        (type("Whole", (int,), {"__index__": lambda _: 0})(4), 4),
        (type("Items", (list,), {"__iter__": lambda _: iter(())})([4]), [4]),
        (type("Pairs", (dict,), {"items": lambda _: ()})({4: 4}), {4: 4}),
        (type("Tally", (collections.Counter,), {})("aab"), {"a": 2, "b": 1}),
        (Stranger(), Reference("Stranger")),
        ([Stranger], [Reference("type")]),
        (datetime.datetime(2024, 1, 1, tzinfo=Zone()), Reference("datetime")),
    ],
)
def test_what_has_a_base_arrives_as_that_and_the_rest_as_references(
    value: Any, arrives: Any
) -> None:
    assert shape(over_the_wire(value)) == shape(arrives)


TAGS = [name.removeprefix("_read_") for name in vars(Decoder) if name.startswith("_read_")]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([*TAGS, "0xff", "1/0", "1e9", "Counter", "defaultdict", "__loader__", "-1"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(), inner, max_size=2)
        | st.builds(lambda tag, rest: [tag, *rest], st.sampled_from(TAGS), st.lists(inner))
    ),
    max_leaves=20,
)


@given(JSON)
@example(["type", "nope"])
@example(["Fraction", 1, 0])
@example(["Decimal", "four"])
@example(["set", 0, [["list", 1, []]]])
@example(["timedelta", float("inf")])
@example(["_container", 0, 4])
@example(["list", 0, [["set", 0, []]]])
def test_anything_else_is_refused(node: Any) -> None:
    try:
        arrived = Decoder(resolve).value(node)
    except (WireError, RecursionError):
        return
    shape(arrived)  # a value as any other


@pytest.mark.parametrize("tag", ["list", "tuple"])
def test_a_nest_beyond_the_recursion_limit_is_refused(tag: str) -> None:
    node: Any = 4
    for number in range(5000):
        node = ["list", number, [node]] if tag == "list" else ["tuple", [node]]
    with pytest.raises(RecursionError):
        Decoder(resolve).value(node)


def test_a_number_is_one_container_of_one_kind() -> None:
    decoder = Decoder(resolve)
    first = decoder.value(["list", 0, [1]])
    assert decoder.value(["list", 0, [2]]) is first
    assert first == [2]
    with pytest.raises(WireError, match="changed its type"):
        decoder.value(["set", 0, [2]])


def test_fractions_are_made_of_integers() -> None:
    assert over_the_wire(fractions.Fraction(4, 6)) == fractions.Fraction(2, 3)
    for parts in (["1e9"], ["1/3"], [1.5], [["Decimal", "1e9"]], [1, 0], [1, "2"]):
        with pytest.raises(WireError):
            Decoder(resolve).value(["Fraction", *parts])
