"""Values on their way between a program and its tests, as JSON that holds nothing but data.

A program's answers are read by the process that compares them, so what crosses is rebuilt there
from plain pieces: an object whose ``__eq__`` always says yes arrives as its plain base value, or,
where it has none, as a *reference* that equals nothing. No pickle: reading runs none of the
sender's code.

Scalars are JSON's own. Anything else is a list [tag, ...]. Mutable containers are numbered in the
order met, so that two ways to the same list arrive as two ways to one list, and a cycle as a cycle.
"""

import builtins
import collections
import datetime
import decimal
import fractions
from collections.abc import Callable
from typing import Any

# A value of one of these types is data; of a subclass, it is sent as its first base among them.
_BASES = (bool, int, float, complex, str, bytes, bytearray, tuple, frozenset, range,
          list, dict, set, collections.deque, decimal.Decimal, fractions.Fraction,
          datetime.datetime, datetime.date, datetime.time, datetime.timedelta)  # fmt: skip
# Dictionaries that compare or behave in a way of their own (a default factory is not sent).
_DICTIONARIES = {
    "Counter": collections.Counter,
    "OrderedDict": collections.OrderedDict,
    "defaultdict": collections.defaultdict,
}
# What a dictionary shows of itself: data too, in its order.
_VIEWS: dict[type, str] = {
    type(getattr(empty, name)()): name
    for empty in (dict[Any, Any](), collections.OrderedDict[Any, Any]())
    for name in ("keys", "values", "items")
}
_CONSTANTS = {"Ellipsis": ..., "NotImplemented": NotImplemented}
_SMALL = 2**53  # integers up to here are written in decimal; larger ones in hexadecimal, in O(n)


class WireError(Exception):
    """What was received is not a value."""


class Encoder:
    """Values to JSON-able nodes; containers keep their numbers over several values."""

    def __init__(self, refer: Callable[[Any], Any]) -> None:
        """``refer``: the node of an object that is not data."""
        self.refer = refer
        self.containers: list[Any] = []  # kept alive, so that no id is used twice
        self._numbers: dict[int, int] = {}

    def know(self, containers: list[Any]) -> None:
        """Take over the numbers of containers that the other side has."""
        for container in containers:
            self._number(container)

    def node(self, value: Any) -> Any:
        """The node of a value.

        Raises:
            RecursionError: it is nested too deeply.
        """
        kind = type(value)
        if value is None or kind is bool or kind is str or kind is float:
            return value
        if kind is int:
            return value if -_SMALL < value < _SMALL else ["int", hex(value)]
        if id(value) in self._numbers:
            return ["seen", self._numbers[id(value)]]
        if kind not in _BASES and kind not in _DICTIONARIES.values():
            for name, constant in _CONSTANTS.items():
                if value is constant:
                    return ["constant", name]
            if kind is type:
                name = str(getattr(value, "__name__", None))
                if getattr(builtins, name, None) is value:
                    return ["type", name]
            if kind in _VIEWS:
                return [_VIEWS[kind], [self.node(item) for item in value]]
            base: type | None = next((base for base in kind.__mro__ if base in _BASES), None)
            if base is None:
                return self.refer(value)
            kind = base
        return self._plain(kind, value)

    def contents(self, container: Any) -> Any:
        """The node of a container that has its number already, with what it holds now."""
        return self._plain(type(container), container)

    def _plain(self, kind: type, value: Any) -> Any:
        """As if ``value`` were of the very type ``kind``: none of its own methods is called."""
        if kind is int:
            return self.node(int.__index__(value))
        if kind is float:
            return float.__float__(value)
        if kind is str:
            return str.__str__(value)
        if kind in (tuple, frozenset):
            return [kind.__name__, [self.node(item) for item in kind.__iter__(value)]]
        if kind is bytes:
            return ["bytes", bytes.hex(value)]
        if kind is complex:
            return ["complex", complex.real.__get__(value), complex.imag.__get__(value)]
        if kind is range:
            return ["range", *(self.node(part) for part in (value.start, value.stop, value.step))]
        if kind is decimal.Decimal:
            return ["Decimal", decimal.Decimal.__str__(value)]
        if kind is fractions.Fraction:
            return ["Fraction", self.node(value.numerator), self.node(value.denominator)]
        if kind is datetime.timedelta:
            return ["timedelta", value.days, value.seconds, value.microseconds]
        if kind in (datetime.date, datetime.time, datetime.datetime):
            zone = getattr(value, "tzinfo", None)
            if zone is not None and type(zone) is not datetime.timezone:
                return self.refer(value)
            return [kind.__name__, kind.isoformat(value)]
        number = self._number(value)
        if kind in (list, set, collections.deque):
            items = [self.node(item) for item in kind.__iter__(value)]
            return [kind.__name__, number, items]
        if issubclass(kind, dict):
            pairs = [[self.node(key), self.node(item)] for key, item in dict.items(value)]
            return ["dict", kind.__name__, number, pairs]
        return ["bytearray", number, bytearray.hex(value)]

    def _number(self, container: Any) -> int:
        number = self._numbers.setdefault(id(container), len(self.containers))
        if number == len(self.containers):
            self.containers.append(container)
        return number


class Decoder:
    """Nodes to values; containers that have come before are filled anew, not doubled."""

    def __init__(self, resolve: Callable[[list[Any]], Any]) -> None:
        """``resolve``: the object that a reference's node stands for."""
        self.resolve = resolve
        self.containers: dict[int, Any] = {}

    def know(self, containers: list[Any]) -> None:
        """Containers of this side that the other side's numbers stand for."""
        self.containers.update(enumerate(containers))

    def value(self, node: Any) -> Any:
        """The value of a node.

        Raises:
            WireError: it is none.
        """
        try:
            return self._value(node)
        except WireError:
            raise
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
            raise WireError(f"{type(error).__name__}: {error}") from error

    def _value(self, node: Any) -> Any:
        if not isinstance(node, list):
            if isinstance(node, dict):
                raise WireError("a JSON object is no value")
            return node
        tag, *rest = node
        read = getattr(self, f"_read_{tag}", None) if isinstance(tag, str) else None
        return read(*rest) if read is not None else self.resolve(node)

    def _read_int(self, text: str) -> int:
        return int(text, 16)

    def _read_seen(self, number: int) -> Any:
        return self.containers[number]

    def _read_constant(self, name: str) -> Any:
        return _CONSTANTS[name]

    def _read_type(self, name: str) -> Any:
        found = getattr(builtins, name)
        if not isinstance(found, type):
            raise WireError(f"{name} is no type")
        return found

    def _read_tuple(self, items: list[Any]) -> Any:
        return tuple(self._value(item) for item in items)

    def _read_frozenset(self, items: list[Any]) -> Any:
        return frozenset(self._value(item) for item in items)

    def _read_list(self, number: int, items: list[Any]) -> Any:
        container = self._container(number, list)
        container[:] = [self._value(item) for item in items]
        return container

    def _read_deque(self, number: int, items: list[Any]) -> Any:
        container = self._container(number, collections.deque)
        filling = [self._value(item) for item in items]
        container.clear()
        container.extend(filling)
        return container

    def _read_set(self, number: int, items: list[Any]) -> Any:
        container = self._container(number, set)
        filling = {self._value(item) for item in items}
        container.clear()
        container.update(filling)
        return container

    def _read_dict(self, name: str, number: int, pairs: list[Any]) -> Any:
        container = self._container(number, _DICTIONARIES.get(name, dict))
        filling = {self._value(key): self._value(item) for key, item in pairs}
        container.clear()
        container.update(filling)
        return container

    def _read_keys(self, items: list[Any]) -> Any:
        return dict.fromkeys(self._value(item) for item in items).keys()

    def _read_values(self, items: list[Any]) -> Any:
        return dict(enumerate(self._value(item) for item in items)).values()

    def _read_items(self, pairs: list[Any]) -> Any:
        return dict(self._value(pair) for pair in pairs).items()

    def _read_bytearray(self, number: int, text: str) -> Any:
        container = self._container(number, bytearray)
        container[:] = bytes.fromhex(text)
        return container

    def _read_bytes(self, text: str) -> bytes:
        return bytes.fromhex(text)

    def _read_complex(self, real: float, imaginary: float) -> complex:
        return complex(real, imaginary)

    def _read_range(self, *parts: Any) -> range:
        return range(*(self._value(part) for part in parts))

    def _read_Decimal(self, text: str) -> decimal.Decimal:  # noqa: N802
        return decimal.Decimal(text)

    def _read_Fraction(self, *parts: Any) -> fractions.Fraction:  # noqa: N802
        numbers = [self._value(part) for part in parts]
        if [type(number) for number in numbers] != [int, int]:  # of a text it takes any time
            raise WireError("a fraction is not of two integers")
        return fractions.Fraction(*numbers)

    def _read_timedelta(self, *parts: int) -> datetime.timedelta:
        return datetime.timedelta(*parts)

    def _read_date(self, text: str) -> datetime.date:
        return datetime.date.fromisoformat(text)

    def _read_datetime(self, text: str) -> datetime.datetime:
        return datetime.datetime.fromisoformat(text)

    def _read_time(self, text: str) -> datetime.time:
        return datetime.time.fromisoformat(text)

    def _container(self, number: int, kind: type) -> Any:
        """The container of that number: the one that is there, or a new one."""
        if type(number) is not int:
            raise WireError("a container's number is no number")
        found = self.containers.get(number)
        if type(found) is not kind:
            if found is not None:
                raise WireError(f"container {number} changed its type")
            found = self.containers[number] = kind()
        return found
