"""Single edits of right user code, each with the layer and the cause that a check should name, the
bugs that books and blogs have shipped, and code that is written otherwise and right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from googlenet.checking.causes import Cause

from .plan import SIDE, Block, Op, Plan, blocks, changed, plan, sites, with_block

#: Pixels of the last map.
LAST: Final = (SIDE // 32) ** 2
PLAIN, NORMED = "googlenet", "googlenet_bn"


@dataclass(frozen=True)
class Case:
    """One user's code: what it should be, its plan, and what a check should say: the `paths` of
    which its first difference has one, and the `causes` of which that has one; none for code that
    is right.
    """

    kind: str
    words: str
    network: str
    plan: Plan
    paths: frozenset[str] = frozenset()
    causes: frozenset[Cause] = frozenset()

    @property
    def right(self) -> bool:
        """Whether it is the network's function."""
        return not self.causes


class Drawn:
    """Draws an edit of each kind; `network` is the right one, and may be another for a kind."""

    def __init__(self, draw: Random, network: str) -> None:
        self._draw = draw
        self._network = network
        self._plan = plan(network)

    def case(self, kind: str) -> Case:
        """An edit of the kind."""
        found: Case = KINDS[kind](self)
        return replace(found, kind=kind)

    # What to choose from --------------------------------------------------------------------------

    def _one(self, choices: Sequence[str]) -> str:
        return self._draw.choice(choices)

    def _paths(self, fits: Callable[[str, Op], bool]) -> set[str]:
        """A layer that fits; inside of blocks half of the time that layer in all blocks."""
        found = [path for path, op in sites(self._plan) if fits(path, op)]
        stem = [path for path in found if "inception" not in path]
        inside = [path for path in found if "inception" in path]
        if stem and (not inside or self._draw.random() < 0.4):
            return {self._draw.choice(stem)}
        path = self._draw.choice(inside)
        role = path.partition(".inception_")[2].partition(".")[2]
        if self._draw.random() < 0.5:
            return {each for each in inside if each.endswith(f".{role}")}
        return {path}

    def _changed(
        self,
        paths: set[str],
        change: Callable[[Op], tuple[Op, ...]],
        words: str,
        *causes: Cause,
        instead: Callable[[str], str] = lambda path: path,
    ) -> Case:
        first = next(path for path, _ in sites(self._plan) if path in paths)
        where = first if len(paths) == 1 else f"all like {first}"
        return Case(
            "",
            f"{where}: {words}",
            self._network,
            changed(self._plan, paths, change),
            frozenset({instead(first)}),
            frozenset(causes),
        )

    # The kinds ------------------------------------------------------------------------------------

    def kernel(self) -> Case:
        paths = self._paths(lambda path, op: op.kind == "conv" and op["stride"] == 1)
        (old,) = {op["kernel"] for path, op in sites(self._plan) if path in paths}
        new = self._draw.choice([side for side in (1, 3, 5) if side != old])
        return self._changed(
            paths,
            lambda op: (op.given(kernel=new, padding=new // 2),),
            f"kernel {new} for {old}",
            Cause.KERNEL,
        )

    def first_kernel(self) -> Case:
        new = self._draw.choice([(5, 2), (5, 3), (3, 1), (9, 4)])
        return self._changed(
            {"b1.conv.conv"},
            lambda op: (op.given(kernel=new[0], padding=new[1]),),
            f"kernel {new[0]}, padding {new[1]}",
            Cause.KERNEL,
        )

    def channels(self) -> Case:
        path = self._one(
            [path for path, op in sites(self._plan) if op.kind == "conv" and path != "b5"]
        )
        (old,) = [op["out"] for each, op in sites(self._plan) if each == path]
        new = self._draw.choice([old // 2, old + 8, old * 2, old - 4])
        return self._changed(
            {path},
            lambda op: (op.given(out=new),),
            f"{new} channels for {old}",
            Cause.CHANNELS,
            Cause.ROW,
        )

    def row(self) -> Case:
        found = blocks(self._plan)
        at = self._draw.randrange(1, len(found))
        block, other = found[at], found[at - 1]
        rows = [(a, b) for a, b in zip(block.row, other.row, strict=True)]
        new = iter([width for _, row in rows for width in row])
        branches = tuple(
            tuple(op.given(out=next(new)) if op.kind == "conv" else op for op in branch)
            for branch in block.branches
        )
        wrong = [
            f"{block.path}.{op.path}"
            for branch, others in zip(block.branches, branches, strict=True)
            for op, mine in zip(branch, others, strict=True)
            if op != mine
        ]
        if not wrong:
            return self.row()
        return Case(
            "",
            f"{block.path}: the row of {other.name}",
            self._network,
            with_block(self._plan, block.name, lambda each: (replace(each, branches=branches),)),
            frozenset(wrong[:1]),
            frozenset({Cause.ROW}),
        )

    def missing_activation(self) -> Case:
        paths = self._paths(lambda path, op: op.kind == "act")
        return self._changed(paths, lambda op: (), "no ReLU", Cause.MISSING_ACTIVATION)

    def other_activation(self) -> Case:
        paths = self._paths(lambda path, op: op.kind == "act")
        name = self._one(["leaky_relu", "relu6", "elu", "sigmoid", "tanh", "silu"])
        return self._changed(paths, lambda op: (op.given(name=name),), name, Cause.ACTIVATION)

    def extra_activation(self) -> Case:
        name = self._one(["relu", "sigmoid", "tanh"])
        if name == "relu":
            return self._changed(
                {"head.dense"},
                lambda op: (op, Op("act", "head.dense", {"name": "relu"})),
                "a ReLU behind it",
                Cause.EXTRA_ACTIVATION,
            )
        paths = self._paths(lambda path, op: op.kind == "act")
        return self._changed(
            paths,
            lambda op: (op, op.given(name=name)),
            f"{name} behind it",
            Cause.EXTRA_ACTIVATION,
        )

    def branch_order(self) -> Case:
        found = blocks(self._plan)
        order = [0, 1, 2, 3]
        while order == sorted(order):
            self._draw.shuffle(order)
        chosen = found if self._draw.random() < 0.5 else [self._draw.choice(found)]
        new = self._plan
        for block in chosen:
            new = with_block(new, block.name, lambda each: (replace(each, joined=tuple(order)),))
        return Case(
            "",
            f"{chosen[0].path}: branches in the order {order}",
            self._network,
            new,
            frozenset({chosen[0].path}),
            frozenset({Cause.BRANCH_ORDER}),
        )

    def padding(self) -> Case:
        """Only where other sizes still fit together, or the padding is wrong by the same on both
        sides.
        """
        path = self._one(["b1.conv.conv", "b2.conv.conv", "b1.pool", "b2.pool", "b3.pool"])
        (old,) = [op["padding"] for each, op in sites(self._plan) if each == path]
        new = self._draw.choice(
            [side for side in (0, 1, 2) if side != old and (side < 2 or "conv" in path)]
        )
        return self._changed(
            {path}, lambda op: (op.given(padding=new),), f"padding {new} for {old}", Cause.PADDING
        )

    def same_padding(self) -> Case:
        path = self._one(["b1.conv.conv", "b1.pool", "b2.pool", "b3.pool", "b4.pool"])
        new = (2, 3) if path == "b1.conv.conv" else (0, 1)
        return self._changed(
            {path}, lambda op: (op.given(padding=new),), f"padding {new}", Cause.SAME_PADDING
        )

    def stride(self) -> Case:
        path = self._one(
            ["b1.conv.conv", "b1.pool", "b2.pool", "b3.pool", "b4.pool", "b2.conv.conv"]
        )
        (old,) = [op["stride"] for each, op in sites(self._plan) if each == path]
        new = self._draw.choice([side for side in (1, 2, 3) if side != old])
        return self._changed(
            {path}, lambda op: (op.given(stride=new),), f"stride {new} for {old}", Cause.STRIDE
        )

    def eps(self) -> Case:
        paths = self._paths(lambda path, op: op.kind == "norm")
        if self._draw.random() < 0.3:
            paths = {path for path, op in sites(self._plan) if op.kind == "norm"}
        new = self._draw.choice([1e-3, 1e-6, 1e-4])
        return self._changed(paths, lambda op: (op.given(eps=new),), f"eps {new}", Cause.EPS)

    def pool_kind(self) -> Case:
        paths = self._paths(lambda path, op: op.kind in ("pool", "global"))
        return self._changed(
            paths,
            lambda op: (
                (op.given(name={"max": "avg", "avg": "max"}[op["name"]]),)
                if op.kind != "flatten"
                else (op,)
            ),
            "the other kind of pool",
            Cause.POOL,
        )

    def dilation(self) -> Case:
        paths = self._paths(
            lambda path, op: op.kind == "conv" and op["kernel"] > 1 and op["stride"] == 1
        )
        return self._changed(
            paths,
            lambda op: (op.given(dilation=2, padding=op["kernel"] - 1),),
            "dilation 2",
            Cause.DILATION,
        )

    def groups(self) -> Case:
        paths = self._paths(lambda path, op: op.kind == "conv" and path != "b1.conv.conv")
        count = self._draw.choice([2, 4])
        return self._changed(
            paths, lambda op: (op.given(groups=count),), f"{count} groups", Cause.GROUPS
        )

    def shared_block(self) -> Case:
        """One that is called again for the next one, which takes and gives the same channels."""
        first, second = self._draw.choice([("4b", "4c"), ("4a", "")])
        if not second:
            first, second = "4b", "4c"
        found = {block.name: block for block in blocks(self._plan)}
        again = replace(found[first], path=found[second].path, like=first)
        return Case(
            "",
            f"{found[second].path}: {first} once more",
            self._network,
            with_block(self._plan, second, lambda block: (again,)),
            frozenset({found[second].path}),
            frozenset({Cause.SHARED}),
        )

    def swapped_blocks(self) -> Case:
        first, second = self._draw.choice(
            [("4b", "4c"), ("4a", "4b"), ("5a", "5b"), ("3a", "3b"), ("4c", "4d"), ("4d", "4e")]
        )
        found = {block.name: block for block in blocks(self._plan)}
        new = tuple(
            found[{first: second, second: first}.get(item.name, item.name)]
            if isinstance(item, Block)
            else item
            for item in self._plan
        )
        return Case(
            "",
            f"{first} and {second} have changed places",
            self._network,
            new,
            frozenset({found[first].path, found[second].path}),
            frozenset({Cause.BLOCK_ORDER}),
        )

    def residual(self) -> Case:
        choice = self._draw.choice(["4b", "4c", "5a", "b2.reduce"])
        if choice == "b2.reduce":
            members = [
                item for item in self._plan if isinstance(item, Op) and item.path.startswith(choice)
            ]
            inside = Op("residual", f"{choice}.conv", {}, tuple(members))
            new = tuple(
                inside if item == members[0] else item
                for item in self._plan
                if item not in members[1:]
            )
            paths = frozenset({choice, f"{choice}.conv"})
        else:
            new = with_block(self._plan, choice, lambda block: (replace(block, residual=True),))
            paths = frozenset(block.path for block in blocks(self._plan) if block.name == choice)
        return Case(
            "",
            f"a residual connection around {choice}",
            self._network,
            new,
            paths,
            frozenset({Cause.RESIDUAL}),
        )

    def dropped_pool(self) -> Case:
        paths = self._paths(lambda path, op: op.kind == "pool")
        return self._changed(paths, lambda op: (), "left out", Cause.MISSING_POOL)

    def no_global_pool(self) -> Case:
        new = tuple(
            item.given(inputs=1024 * LAST)
            if isinstance(item, Op) and item.kind == "dense"
            else item
            for item in self._plan
            if not (isinstance(item, Op) and item.kind == "global")
        )
        return Case(
            "",
            "no global pool",
            self._network,
            new,
            frozenset({"b5.pool"}),
            frozenset({Cause.MISSING_POOL}),
        )

    def softmax(self) -> Case:
        return self._changed(
            {"head.dense"},
            lambda op: (op, Op("softmax", "head.dense")),
            "softmax behind it",
            Cause.SOFTMAX,
        )

    def bias(self) -> Case:
        paths = self._paths(lambda path, op: op.kind in ("conv", "dense"))
        if self._draw.random() < 0.2:
            paths = {path for path, op in sites(self._plan) if op.kind == "conv"}
        return self._changed(paths, lambda op: (op.given(bias=not op["bias"]),), "bias", Cause.BIAS)

    def ceil(self) -> Case:
        path = self._one(["b1.pool", "b2.pool", "b3.pool"])
        return self._changed({path}, lambda op: (op.given(ceil=True),), "ceil", Cause.CEIL)

    def missing_norm(self) -> Case:
        paths = self._paths(lambda path, op: op.kind == "norm")
        return self._changed(paths, lambda op: (), "no batch norm", Cause.MISSING_NORM)

    def pool_kernel(self) -> Case:
        """With the padding that keeps the size, or that of the window of two that many write."""
        paths = self._paths(lambda path, op: op.kind == "pool")
        if any("inception" in path for path in paths):
            new = {"kernel": 5, "padding": 2}
        else:
            new = self._draw.choice([{"kernel": 2, "padding": 0}, {"kernel": 3, "padding": 0}])
        cause = Cause.KERNEL if new["kernel"] != 3 else Cause.PADDING
        return self._changed(paths, lambda op: (op.given(**new),), f"a window of {new}", cause)

    def twice(self) -> Case:
        """A convolution with what follows it once more, with weights of its own."""
        path = self._one(["b2.conv", "b2.reduce"])
        members = [item for item in self._plan if item.path.startswith(f"{path}.")]
        at = self._plan.index(members[-1]) + 1
        again = tuple(replace(item, path=f"{item.path}2") for item in members)
        new = (*self._plan[:at], *again, *self._plan[at:])
        paths = [item.path for item in self._plan[at - 2 * len(members) : at]]
        return Case(
            "",
            f"{path} twice",
            self._network,
            new,
            frozenset({*paths, *(item.path for item in members)}),
            frozenset({Cause.EXTRA}),
        )

    def pool_behind(self) -> Case:
        """The pool of a block's branch behind its convolution and not before."""
        found = blocks(self._plan)
        chosen = found if self._draw.random() < 0.5 else [self._draw.choice(found)]
        new = self._plan
        for block in chosen:
            pool, *rest = block.branches[3]
            branches = (*block.branches[:3], (*rest, pool))
            new = with_block(new, block.name, lambda each, b=branches: (replace(each, branches=b),))
        return Case(
            "",
            f"{chosen[0].path}: the pool behind the convolution",
            self._network,
            new,
            frozenset({f"{chosen[0].path}.branch_pool.pool"}),
            frozenset({Cause.ORDER}),
        )

    def norm_behind(self) -> Case:
        """Batch norm behind the ReLU."""
        paths = self._paths(lambda path, op: op.kind == "norm")
        relus = {path.replace(".norm", ".relu") for path in paths}
        norm = Op("norm", "norm", {"eps": 1e-5})
        found = self._changed(paths, lambda op: (), "the batch norm behind the ReLU", Cause.ORDER)
        new = changed(found.plan, relus, lambda op: (op, replace(norm, path=f"{op.path}.norm")))
        near = {path.replace(".norm", ".relu") for path in found.paths}
        return replace(found, plan=new, paths=found.paths | near)

    def dropout(self) -> Case:
        return self._changed(
            {"head.dense"},
            lambda op: (Op("dropout", "head.dense", {"rate": 0.4}), op),
            "dropout before it",
            Cause.DROPOUT,
            instead=lambda path: "b5.pool",
        )

    def missing_block(self) -> Case:
        name = self._one([block.name for block in blocks(self._plan)])
        (path,) = [block.path for block in blocks(self._plan) if block.name == name]
        return Case(
            "",
            f"no {path}",
            self._network,
            with_block(self._plan, name, lambda block: ()),
            frozenset({path}),
            frozenset({Cause.MISSING_BLOCK}),
        )

    def extra_block(self) -> Case:
        """A block once more, with weights of its own: either of the two is the further one."""
        found = blocks(self._plan)
        at = self._draw.randrange(len(found))
        block = found[at]
        again = replace(block, path=f"{block.path}x")
        before = {block.path}
        items = [each.path for each in self._plan]
        place = items.index(block.path)
        if place:
            before.add(items[place - 1])
        return Case(
            "",
            f"{block.path} twice",
            self._network,
            with_block(self._plan, block.name, lambda each: (each, again)),
            frozenset(before),
            frozenset({Cause.EXTRA_BLOCK}),
        )

    def branch(self) -> Case:
        block = self._draw.choice(blocks(self._plan))
        gone = self._draw.randrange(4)
        order = tuple(number for number in range(4) if number != gone)
        branches = tuple(
            branch if number != gone else () for number, branch in enumerate(block.branches)
        )
        new = replace(block, branches=branches, joined=order, computed=order)
        return Case(
            "",
            f"{block.path}: without branch {gone + 1}",
            self._network,
            with_block(self._plan, block.name, lambda each: (new,)),
            frozenset({block.path}),
            frozenset({Cause.BRANCH}),
        )


#: The kinds of edits by name; those of a second network need its batch norm.
KINDS: Final[dict[str, Callable[[Drawn], Case]]] = {
    "kernel": Drawn.kernel,
    "kernel of the first": Drawn.first_kernel,
    "channels": Drawn.channels,
    "row of a block": Drawn.row,
    "missing activation": Drawn.missing_activation,
    "other activation": Drawn.other_activation,
    "extra activation": Drawn.extra_activation,
    "order of branches": Drawn.branch_order,
    "padding": Drawn.padding,
    "SAME padding": Drawn.same_padding,
    "stride": Drawn.stride,
    "eps": Drawn.eps,
    "pool kind": Drawn.pool_kind,
    "dilation": Drawn.dilation,
    "groups": Drawn.groups,
    "shared block": Drawn.shared_block,
    "swapped blocks": Drawn.swapped_blocks,
    "residual": Drawn.residual,
    "dropped pool": Drawn.dropped_pool,
    "no global pool": Drawn.no_global_pool,
    "softmax": Drawn.softmax,
    "bias": Drawn.bias,
    "rounding up": Drawn.ceil,
    "missing batch norm": Drawn.missing_norm,
    "pool kernel": Drawn.pool_kernel,
    "a convolution twice": Drawn.twice,
    "pool behind its convolution": Drawn.pool_behind,
    "batch norm behind the ReLU": Drawn.norm_behind,
    "dropout": Drawn.dropout,
    "missing block": Drawn.missing_block,
    "extra block": Drawn.extra_block,
    "missing branch": Drawn.branch,
}
NEED_NORM: Final = ("eps", "missing batch norm", "batch norm behind the ReLU")


def drawn(seed: int, count: int) -> list[Case]:
    """So many edits, the kinds in turn."""
    found = []
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        draw = Random(f"{seed} {number}")
        normed = kind in NEED_NORM or draw.random() < 0.2
        found.append(Drawn(draw, NORMED if normed else PLAIN).case(kind))
    return found


def _edit(
    paths: set[str], change: Callable[[Op], tuple[Op, ...]], base: Plan | None = None
) -> Plan:
    return changed(base or plan(PLAIN), paths, change)


def _like(role: str) -> set[str]:
    return {path for path, _ in sites(plan(PLAIN)) if path.endswith(role)}


def bugs() -> list[Case]:
    """The mistakes of the book's own tabs, of blogs and of libraries that bear the network's name:
    what of them concerns the network.
    """
    strided = {path for path, op in sites(plan(PLAIN)) if op.kind == "pool" and op["stride"] == 2}
    pools = _edit(strided, lambda op: (op.given(padding=(0, 1)),))
    convs = {path for path, op in sites(plan(PLAIN)) if op.kind == "conv"}
    row = {"branch_3x3.reduce.conv": 112, "branch_5x5.reduce.conv": 24}
    student = plan(PLAIN)
    for path, width in row.items():
        student = _edit(
            {f"b4.inception_4e.{path}"}, lambda op, width=width: (op.given(out=width),), student
        )
    window = tuple(
        item.given(inputs=1024 * LAST)
        if item.kind == "dense"
        else item.given(name="one")
        if item.kind == "global"
        else item
        for item in plan(PLAIN)
        if isinstance(item, Op)
    )
    globals_ = iter(window)
    identity: Plan = tuple(
        item if isinstance(item, Block) else next(globals_) for item in plan(PLAIN)
    )
    return [
        Case(
            "no ReLU in b2",
            "d2l-zh#521",
            PLAIN,
            _edit({"b2.reduce.relu", "b2.conv.relu"}, lambda op: ()),
            frozenset({"b2.reduce.relu"}),
            frozenset({Cause.MISSING_ACTIVATION}),
        ),
        Case(
            "softmax",
            "d2l-en#1096",
            PLAIN,
            _edit({"head.dense"}, lambda op: (op, Op("softmax", "head.dense"))),
            frozenset({"head.dense"}),
            frozenset({Cause.SOFTMAX}),
        ),
        Case(
            "adaptive max pool",
            "d2l-en#1571",
            PLAIN,
            _edit({"b5.pool"}, lambda op: (op.given(name="max") if op.kind == "global" else op,)),
            frozenset({"b5.pool"}),
            frozenset({Cause.POOL}),
        ),
        Case(
            "no ReLU after the first convolution of b2",
            "d2l-en#1732",
            PLAIN,
            _edit({"b2.reduce.relu"}, lambda op: ()),
            frozenset({"b2.reduce.relu"}),
            frozenset({Cause.MISSING_ACTIVATION}),
        ),
        Case(
            "a global pool with a window of 1×1",
            "d2l-en#2353",
            PLAIN,
            identity,
            frozenset({"b5.pool"}),
            frozenset({Cause.POOL, Cause.MISSING_POOL}),
        ),
        Case(
            "SAME at stride 2",
            "the TensorFlow and JAX tabs",
            PLAIN,
            _edit({"b1.conv.conv"}, lambda op: (op.given(padding=(2, 3)),), pools),
            frozenset({"b1.conv.conv"}),
            frozenset({Cause.SAME_PADDING}),
        ),
        Case(
            "SAME pools",
            "the MindSpore tab",
            PLAIN,
            pools,
            frozenset({"b1.pool"}),
            frozenset({Cause.SAME_PADDING}),
        ),
        Case(
            "no bias",
            "the MindSpore tab",
            PLAIN,
            _edit(convs, lambda op: (op.given(bias=False),)),
            frozenset({"b1.conv.conv"}),
            frozenset({Cause.BIAS}),
        ),
        Case(
            "4e with the row of 4b",
            "a student's file",
            PLAIN,
            student,
            frozenset({"b4.inception_4e.branch_3x3.reduce.conv"}),
            frozenset({Cause.ROW}),
        ),
        Case(
            "3×3 for 5×5",
            "torchvision, pytorch/vision#906",
            PLAIN,
            _edit(_like("branch_5x5.conv.conv"), lambda op: (op.given(kernel=3, padding=1),)),
            frozenset({"b3.inception_3a.branch_5x5.conv.conv"}),
            frozenset({Cause.KERNEL}),
        ),
    ]


def right() -> list[Case]:
    """Code that is the network, as such and written otherwise."""
    found = [Case("right", "as it is", network, plan(network)) for network in (PLAIN, NORMED)]
    late: list[object] = []
    for item in plan(PLAIN):
        # The ReLU behind the max pool.
        if isinstance(item, Op) and item.kind == "pool" and isinstance(late[-1], Op):
            late.insert(-1, item)
        else:
            late.append(item)
    computed = plan(PLAIN)
    for block in blocks(computed):
        computed = with_block(
            computed, block.name, lambda each: (replace(each, computed=(3, 1, 0, 2)),)
        )
    head = {"head.dense"}
    pooled = [item for item in plan(PLAIN) if not (isinstance(item, Op) and item.path == "b5.pool")]
    # The classifier as a 1×1 convolution, before or behind the mean.
    (mean, flatten) = [
        item for item in plan(PLAIN) if isinstance(item, Op) and item.path == "b5.pool"
    ]
    conv, first = (Op("conv_head", path, {"out": 10}) for path in ("head.dense", "b5.dense"))
    last = replace(flatten, path="head.flatten")
    written = {
        "the ReLU behind the max pool": tuple(late),
        "branches computed in another order": computed,
        "a ReLU twice": _edit(
            {path for path, op in sites(plan(PLAIN)) if op.kind == "act"}, lambda op: (op, op)
        ),
        "a window of the map's size": _edit(
            {"b5.pool"}, lambda op: (op.given(name="window") if op.kind == "global" else op,)
        ),
        "a 1×1 convolution for the dense layer": (*pooled[:-1], mean, conv, last),
        "the classifier before the mean": (*pooled[:-1], first, mean, flatten),
        "dropout at rate 0": _edit(head, lambda op: (Op("dropout", op.path, {"rate": 0.0}), op)),
    }
    found += [Case("right", words, PLAIN, made) for words, made in written.items()]
    return found
