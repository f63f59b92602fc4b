"""Pickles followed opcode by opcode, with nothing built.

A hundred bytes can say "a pair of the last value with itself" fifty times: the result is small, but
whoever hashes, compares or prints it visits 2^50 values; and a pickle may nest so deep that freeing
it ends the process. So each value is followed here as two numbers: how deep it is nested, and how
many values it has when it is written out. What holds other values is complete once something else
holds it: only then are the two numbers final, and there can be no cycles.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from ...budget import Meter, meter

#: No integer of a shape or an offset has more bits.
_MOST_BITS = 512


class _Value:
    """A value that a pickle would build: how deep it is nested, how many values it holds with
    itself, and how many bytes of text.
    """

    __slots__ = ("atom", "depth", "held", "size", "text")

    def __init__(self, *, text: int = 0, atom: bool = False) -> None:
        self.depth, self.size, self.text, self.atom, self.held = 0, 1, text, atom, False


def end_of_pickle(data: bytes, start: int = 0) -> int:
    """The offset after the pickle that begins at `start`; nothing is built or run.

    Raises `ValueError` if it is incomplete or does what no pickle of data does, and what the meter
    raises if it becomes too much.
    """
    stream = io.BytesIO(data)
    stream.seek(start)
    program = _Program(meter())
    for count, (opcode, argument, position) in enumerate(pickletools.genops(stream)):
        if count % 1024 == 0:
            program.meter.take_values(1024 if count else 0)
        if opcode.name in _PUTS and int(argument or 0) > (position or 0):
            # The unpickler would allocate a table up to this index; an honest one has an
            # instruction for each entry.
            raise ValueError(
                f"a pickle that names entry {argument} of its table at byte {position}"
            )
        if (step := _STEPS.get(opcode.name)) is None:
            _refused(f"uses the opcode {opcode.name}")
        step(program, argument)
    return stream.tell()


def _refused(what: str) -> NoReturn:
    raise ValueError(f"a pickle that {what}")


class _Program:
    """The stack and the table of a pickle that is followed."""

    def __init__(self, taken: Meter) -> None:
        self.meter = taken
        self.stack: list[_Value] = []
        self.marks: list[int] = []
        self.table: dict[int, _Value] = {}

    def pop(self) -> _Value:
        """The last value since the last mark."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            _refused("takes a value where there is none")
        return self.stack.pop()

    def top(self) -> _Value:
        """The last value, which stays."""
        value = self.pop()
        self.stack.append(value)
        return value

    def since_mark(self) -> list[_Value]:
        """All values since the last mark, which goes."""
        if not self.marks:
            _refused("returns to a mark that is not there")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def push(self, parts: Iterable[_Value] = ()) -> None:
        """A new value that holds `parts`."""
        value = _Value()
        self.hold(value, parts)
        self.stack.append(value)

    def atom(self, text: int = 0) -> None:
        """A new value that holds none; `text` is how many bytes it has."""
        self.stack.append(_Value(text=text, atom=True))

    def hold(self, owner: _Value, parts: Iterable[_Value]) -> None:
        """Put `parts` into `owner`."""
        if owner.held or owner.atom:
            _refused("changes a value that is already part of another")
        for part in parts:
            part.held = True
            owner.depth = max(owner.depth, part.depth + 1)
            owner.size += part.size
            owner.text += part.text
        if owner.held:
            _refused("puts a value into itself")
        self.meter.check_depth(owner.depth)
        if owner.size > self.meter.budget.values:
            self.meter.take_values(owner.size)

    def unordered(self, owner: _Value, items: list[_Value]) -> None:
        """Put `items` into `owner`, a set, which hashes them."""
        if not all(item.atom for item in items):
            _refused("has a set of what is not text or a number")
        self.hold(owner, items)
        self.meter.check_names(owner.size)

    def copy(self, parts: Iterable[_Value]) -> None:
        """Charge `parts`, given to code of ours that may copy them, each time anew."""
        for part in parts:
            self.meter.take_values(part.size)
            self.meter.take_bytes(part.text)

    def call(self, parts: list[_Value]) -> None:
        """A value that a call makes of `parts`."""
        self.copy(parts)
        self.push(parts)

    def keyed(self, owner: _Value, items: list[_Value]) -> None:
        """Put keys and values by turns into `owner`."""
        if len(items) % 2:
            _refused("has a key without a value")
        if not all(key.atom for key in items[::2]):
            _refused("has a key that is not text or a number")
        self.hold(owner, items)


# Opcodes ------------------------------------------------------------------------------------------


def _atom(program: _Program, argument: Any) -> None:
    if isinstance(argument, (str, bytes, bytearray)):
        program.atom(len(argument))
    elif type(argument) is int and argument.bit_length() > _MOST_BITS:
        _refused(f"has a number of {argument.bit_length()} bits")
    else:
        program.atom()


def _name(program: _Program, argument: Any) -> None:
    program.push()  # what it stands for may be called


def _stack_name(program: _Program, argument: Any) -> None:
    if not (program.pop().atom and program.pop().atom):
        _refused("names something by what is not text")
    program.push()


def _sized(count: int) -> Callable[[_Program, Any], None]:
    def step(program: _Program, argument: Any) -> None:
        program.push([program.pop() for _ in range(count)])

    return step


def _marked(program: _Program, argument: Any) -> None:
    program.push(program.since_mark())


def _marked_dict(program: _Program, argument: Any) -> None:
    items = program.since_mark()
    program.push()
    program.keyed(program.top(), items)


def _append(program: _Program, argument: Any) -> None:
    part = program.pop()
    program.hold(program.top(), [part])


def _appends(program: _Program, argument: Any) -> None:
    parts = program.since_mark()
    program.hold(program.top(), parts)


def _set_item(program: _Program, argument: Any) -> None:
    value, key = program.pop(), program.pop()
    program.keyed(program.top(), [key, value])


def _set_items(program: _Program, argument: Any) -> None:
    items = program.since_mark()
    program.keyed(program.top(), items)


def _add_items(program: _Program, argument: Any) -> None:
    items = program.since_mark()
    program.unordered(program.top(), items)


def _frozen_set(program: _Program, argument: Any) -> None:
    items = program.since_mark()
    program.push()
    program.unordered(program.top(), items)


def _put(program: _Program, argument: Any) -> None:
    program.table[int(argument)] = program.top()


def _memoize(program: _Program, argument: Any) -> None:
    program.table[len(program.table)] = program.top()


def _get(program: _Program, argument: Any) -> None:
    if int(argument) not in program.table:
        _refused(f"asks for entry {argument} of its table, which is not there")
    program.stack.append(program.table[int(argument)])


def _reduce(program: _Program, argument: Any) -> None:
    arguments, function = program.pop(), program.pop()
    program.call([function, arguments])


def _marked_call(program: _Program, argument: Any) -> None:
    program.call(program.since_mark())


def _build(program: _Program, argument: Any) -> None:
    state = program.pop()
    program.copy([state])
    program.hold(program.top(), [state])


def _persistent(program: _Program, argument: Any) -> None:
    program.call([program.pop()])


def _mark(program: _Program, argument: Any) -> None:
    program.marks.append(len(program.stack))


def _pop(program: _Program, argument: Any) -> None:
    if program.marks and len(program.stack) == program.marks[-1]:
        program.marks.pop()
    else:
        program.pop()


def _pop_mark(program: _Program, argument: Any) -> None:
    program.since_mark()


def _duplicate(program: _Program, argument: Any) -> None:
    program.stack.append(program.top())


def _stop(program: _Program, argument: Any) -> None:
    program.pop()


def _nothing(program: _Program, argument: Any) -> None:
    pass


def _extension(program: _Program, argument: Any) -> None:
    _refused("uses the extension registry")  # which bypasses the table of names


_ATOMS = (
    *("NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"),
    *("LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES"),
    *("SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINUNICODE8", "PERSID"),
)
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
#: What each opcode does; buffers outside the file are not data of any framework.
_STEPS: dict[str, Callable[[_Program, Any], None]] = {
    **dict.fromkeys(_ATOMS, _atom),
    **dict.fromkeys(_PUTS, _put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get),
    **dict.fromkeys(("EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET"), _sized(0)),
    **{f"TUPLE{count}": _sized(count) for count in (1, 2, 3)},
    **dict.fromkeys(("TUPLE", "LIST"), _marked),
    **dict.fromkeys(("PROTO", "FRAME"), _nothing),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), _extension),
    **dict.fromkeys(("INST", "OBJ"), _marked_call),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _reduce),
    "ADDITEMS": _add_items,
    "FROZENSET": _frozen_set,
    "DICT": _marked_dict,
    "APPEND": _append,
    "APPENDS": _appends,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "GLOBAL": _name,
    "STACK_GLOBAL": _stack_name,
    "MEMOIZE": _memoize,
    "BUILD": _build,
    "BINPERSID": _persistent,
    "MARK": _mark,
    "POP": _pop,
    "POP_MARK": _pop_mark,
    "DUP": _duplicate,
    "STOP": _stop,
}
