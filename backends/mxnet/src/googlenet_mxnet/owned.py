"""What a user's model holds, and what happens in it while it runs."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Mapping
from types import CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import mxnet as mx
from mxnet import autograd, gluon
from mxnet.gluon import Block, HybridBlock, nn

from googlenet.backend.lines import closed

#: Blocks that only hold others: an array of one's own in them is not that of a layer.
HOLDERS: Final = (Block, HybridBlock, nn.Sequential, nn.HybridSequential, nn.SymbolBlock)
#: How deep blocks are looked for, in what a model holds.
DEEPEST: Final = 100
#: What graph mode changes in a block.
_GRAPH_MODE: Final = ("_active", "_flags", "_cached_graph", "_cached_op", "_cached_op_args")
_FORMATS: Final = ("_in_format", "_out_format")
#: What is not the user's code.
_OTHERS: Final = closed(mx.__file__, __file__)


class Owned:
    """The blocks and arrays that a model can reach, each with its path as the user would write it:
    `net[3].p3_2`. Those that a function uses have their own names.
    """

    def __init__(self, model: Any) -> None:
        self.blocks: dict[int, tuple[str, Block]] = {}
        #: All arrays; those of a layer with no path, since the layer has one.
        self.arrays: list[tuple[str, mx.nd.NDArray]] = []
        self._parameters: list[tuple[str, gluon.Parameter]] = []
        self._seen: dict[int, Any] = {}
        self._depth = 0
        self._walk("net", model)

    def data(self) -> Iterator[tuple[str, mx.nd.NDArray]]:
        """All arrays that there are now, also those of parameters that were built since."""
        yield from self.arrays
        for path, parameter in self._parameters:
            for array in parameter._data or ():
                yield path, array

    def frozen(self) -> Iterator[mx.nd.NDArray]:
        """The arrays of Gluon's own layers that are not trained now, but could be."""
        for path, parameter in self._parameters:
            if (
                not path
                and parameter.grad_req == "null"
                and parameter._differentiable
                and not isinstance(parameter, gluon.Constant)
            ):
                yield from parameter._data or ()

    def classes(self) -> dict[str, str]:
        """The names of the user's own classes by the paths of their blocks."""
        return {
            path: type(block).__name__
            for path, block in self.blocks.values()
            if _is_users(type(block))
        }

    def layers(self) -> Iterator[tuple[str, list[gluon.Parameter]]]:
        """The blocks inside of the model, each before those inside of it, with all parameters that
        it or those have.
        """
        held = [(path, each) for path, each in self._parameters if path]
        for path, block in self.blocks.values():
            held += [(path, each) for each in _parameters(block)]
        for path, _ in self.blocks.values():
            inside = (f"{path}.", f"{path}[")
            if path.startswith(("net.", "net[")):
                yield path, [each for at, each in held if at == path or at.startswith(inside)]

    def _walk(self, path: str, held: Any) -> None:
        if id(held) in self._seen or isinstance(held, ModuleType | type):
            return
        self._seen[id(held)] = held
        if self._depth < DEEPEST:
            self._depth += 1
            self._walk_inside(path, held)
            self._depth -= 1

    def _walk_inside(self, path: str, held: Any) -> None:
        match held:
            case Block():
                self._block(path, held)
            case mx.nd.NDArray():
                self.arrays.append((path, held))
            case gluon.Parameter():
                self._parameters.append((path, held))
            case list() | tuple():
                for index, each in enumerate(held):
                    self._walk(f"{path}[{index}]", each)
            case dict() | gluon.ParameterDict():
                for key, each in held.items():
                    self._walk(f"{path}[{key!r}]", each)
            case FunctionType():
                self._function(held)
            case MethodType():
                self._walk(path, held.__self__)
                self._walk(path, held.__func__)
            case functools.partial():
                self._walk(path, held.func)
                self._walk(f"{path}.args", held.args)
                self._walk(f"{path}.keywords", held.keywords)
            case _ if _is_users(type(held)) and hasattr(held, "__dict__"):
                self._object(path, held)

    def _block(self, path: str, block: Block) -> None:
        self.blocks[id(block)] = (path, block)
        is_layer = _is_layer(block)
        for name, parameter in block._reg_params.items():
            is_attribute = vars(block).get(name) is parameter
            own = f"{path}.{name}" if is_attribute else f"{path}.params[{parameter.name!r}]"
            self._walk("" if is_layer else own, parameter)
        for name, parameter in block.params.items():
            self._walk("" if is_layer else f"{path}.params[{name!r}]", parameter)
        for position, (name, child) in enumerate(block._children.items()):
            is_indexed = not hasattr(block, name) and hasattr(block, "__getitem__")
            if is_indexed or hasattr(block, name):
                self._walk(f"{path}[{position}]" if is_indexed else f"{path}.{name}", child)
        self._object(path, block)
        for name, child in block._children.items():
            self._walk(f"{path}._children[{name!r}]", child)

    def _object(self, path: str, held: Any) -> None:
        for name, each in list(vars(held).items()):
            if not (isinstance(held, Block) and name in _INTERNAL):
                self._walk(f"{path}.{name}", each)
        for each in type(held).__mro__:
            if _is_users(each):
                for method in list(vars(each).values()):
                    if isinstance(method, FunctionType):
                        self._function(method)

    def _function(self, function: FunctionType) -> None:
        if not _is_users(function):
            return
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            try:
                self._walk(name, cell.cell_contents)
            except ValueError:  # a cell that is still empty
                continue
        for name in _names(function.__code__):
            if name in function.__globals__:
                self._walk(name, function.__globals__[name])


#: What Gluon itself keeps in a block.
_INTERNAL: Final = frozenset(vars(HybridBlock(prefix=""))) | {"_cached_op_args"}


def _is_users(held: Any) -> bool:
    """Whether a class or function is not a library's."""
    module = str(getattr(held, "__module__", None) or "builtins").partition(".")[0]
    return module == "__main__" or module not in {"mxnet", "numpy", *sys.stdlib_module_names}


def _parameters(block: Block) -> list[gluon.Parameter]:
    """What a block has itself."""
    return [*block._reg_params.values(), *block.params.values()]


def _is_layer(block: Block) -> bool:
    return any(
        each.__module__.startswith("mxnet.gluon") and each not in HOLDERS and each is not object
        for each in type(block).__mro__
    )


def _names(code: CodeType) -> Iterator[str]:
    """The names that code uses, with those of the functions in it."""
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _names(each)


class Watch:
    """Follows a model while it runs: which block is running, with graph mode off, since a graph
    hides what is in it.

    Parameters that were never initialised are, as Gluon does by default, as soon as a block needs
    them. At the end of a `with` block every block and such parameter is as it was before.
    """

    def __init__(self, owned: Owned) -> None:
        self._owned = owned
        self._handles: list[gluon.utils.HookHandle] = []
        self._modes: list[tuple[Block, dict[str, Any]]] = []
        self._untouched: dict[int, tuple[gluon.Parameter, dict[str, Any]]] = {}
        self._unbuilt: dict[int, tuple[gluon.Parameter, dict[str, Any]]] = {}
        #: The paths of the blocks that are running, the innermost one last.
        self.stack: list[str] = []
        #: When the innermost block changed, by the number of operations that were recorded.
        self.changes: list[tuple[int, str]] = []
        #: The lines of the user's that call operations, by the number that each has if recorded.
        self.lines: dict[int, tuple[str, int]] = {}
        self._is_counting = False
        self._counted = mx.nd.zeros(1)
        self._counted.attach_grad()

    def __enter__(self) -> Watch:
        for path, block in self._owned.blocks.values():
            self._follow(path, block)
            if isinstance(block, HybridBlock):
                names = [name for name in (*_GRAPH_MODE, *_FORMATS) if name in vars(block)]
                self._modes.append((block, {name: vars(block)[name] for name in names}))
                block._active = False
            if isinstance(block, nn.SymbolBlock):  # it has nothing but a graph: opened then
                block._flags, block._cached_op = [("inline_limit", 2**31 - 1)], None
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.detach()
        for block, mode in self._modes:
            for name in (*_GRAPH_MODE, *_FORMATS):
                vars(block).pop(name, None)
            vars(block).update(mode)
        _restore(self._untouched)

    def begin(self) -> None:
        """Before a pass of the model."""
        self.stack, self.changes, self.lines = [], [], {}
        self._unbuilt = {}

    def undo(self) -> None:
        """After a pass that failed: what it built is not."""
        _restore(self._unbuilt)

    def keep(self) -> None:
        """What was built stays, also what was never initialised by its user."""
        self._untouched = {}

    @property
    def place(self) -> str:
        """The path of the innermost block that is running."""
        return self.stack[-1] if self.stack else "net"

    def count(self) -> int:
        """How many operations have been recorded, this one included."""
        self._is_counting = True
        try:
            with autograd.record(train_mode=False):
                symbol = autograd.get_symbol(self._counted.reshape(1))
        finally:
            self._is_counting = False
        return int(symbol.name.rpartition("_")[2])

    def note(self, frame: FrameType | None) -> None:
        """The operation that is recorded next is called by the user's line that is innermost from
        `frame` outwards; by none if one of Gluon's own containers is further in.
        """
        if self._is_counting:
            return
        while frame is not None:
            if not frame.f_code.co_filename.startswith(_OTHERS):
                line = (frame.f_code.co_filename, frame.f_lineno)
                self.lines[self.count() + 1] = line
                return
            if isinstance(frame.f_locals.get("self"), nn.Sequential | nn.HybridSequential):
                return
            frame = frame.f_back

    def _follow(self, path: str, block: Block) -> None:
        def begin(block: Block, inputs: Any) -> None:
            if self.stack:
                self._initialise(block)
            else:
                block.apply(self._initialise)
            self.stack.append(path)
            self.changes.append((self.count(), path))

        def end(block: Block, inputs: Any, outputs: Any) -> None:
            mx.nd.waitall()  # an error of the block is said here, not when somebody looks
            self.stack.pop()
            self.changes.append((self.count(), self.place))

        self._handles.append(block.register_forward_pre_hook(begin))
        self._handles.append(block.register_forward_hook(end))

    def _initialise(self, block: Block) -> None:
        for parameter in _parameters(block):
            if parameter._data is not None or id(parameter) in self._unbuilt:
                continue
            before = (parameter, dict(vars(parameter)))
            self._unbuilt[id(parameter)] = before
            if not parameter._deferred_init:
                self._untouched.setdefault(id(parameter), before)
                parameter.initialize(ctx=self.device)

    def unusual_layout(self) -> tuple[str, str] | None:
        """The path and layout of a layer whose channels are not the first axis of an image."""
        for path, block in self._owned.blocks.values():
            layout = getattr(block, "_kwargs", {}).get("layout", "NC")
            if isinstance(layout, str) and not layout.startswith("NC"):
                return path, layout
        return None

    @property
    def device(self) -> mx.Context:
        """Where the model's arrays are."""
        return next((array.ctx for _, array in self._owned.data()), mx.current_context())


def _restore(saved: Mapping[int, tuple[gluon.Parameter, dict[str, Any]]]) -> None:
    for parameter, before in saved.values():
        vars(parameter).clear()
        vars(parameter).update(before)
