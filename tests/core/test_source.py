"""Networks as source: what becomes a class, what its arguments are, and that the code makes every
layer as the table of leaves has it. No framework runs it: `fake_nn` remembers what was made.
"""

import ast
import inspect
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings

import googlenet
from googlenet import spec
from googlenet.architectures import designators
from googlenet.architectures.googlenet import INCEPTION
from googlenet.proof.conformance.networks import composites
from googlenet.source.names import camel, network_name, snake
from googlenet.source.pages import coloured, html_page, markdown
from googlenet.source.printing import WIDTH, Group, Part, lines
from googlenet.source.write import block_path, write
from googlenet.spec.blocks import (
    concat,
    conv,
    conv_layer,
    inception,
    max_pool,
    residual,
    sequential,
)
from googlenet.spec.layers import Aux
from googlenet.spec.traversal import walk

from . import fake_nn
from .networks import networks
from .spelled import AS_CLASSES, AS_FUNCTIONS, chained, leaf

STYLES = pytest.mark.parametrize("style", [AS_CLASSES, AS_FUNCTIONS], ids=["classes", "functions"])


def with_heads():
    """Every designator, and those that have auxiliary heads with them too."""
    for name in designators():
        yield googlenet.get_network(name)
        if name.rpartition(":")[2] in ("googlenet_paper", "inception_v3"):
            yield googlenet.get_network(name, aux=True)


def arguments(call):
    """A call's arguments by name, with those that it leaves out."""
    bound = inspect.signature(call.target).bind(*call.args, **call.kwargs)
    bound.apply_defaults()
    return {name: plain(value) for name, value in bound.arguments.items() if name != "name"}


def plain(value):
    """(1, 1) and 1 mean the same to a convolution."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


def expected(network, table=leaf):
    """Every layer by its path, or for the earlier ones of a chain with an ending: (class,
    arguments).
    """
    found = {}
    for site in walk(network):
        *before, last = table(site)
        for call in before:
            found[f"{site.path}.flatten"] = (call.target.__name__, arguments(call))
        found[site.path] = (last.target.__name__, arguments(last))
    return found


def run(network, style):
    """The model that the printed code makes, and the module that it is in."""
    written = write(network, style)
    module = {"__name__": "written"}
    exec(compile(written.text, "written.py", "exec"), module)
    fake_nn.NAMED.clear()
    return module[written.name](), module


def held(layer, path=""):
    """Every layer below `layer` by its path."""
    for name, child in vars(layer).items():
        inside = f"{path}.{name}" if path else name
        if isinstance(child, fake_nn.Layer):
            if child.made is None:
                yield from held(child, inside)
            else:
                kind, given = child.made
                yield inside, (kind, {key: plain(value) for key, value in given.items()})


def check(network):
    model, _ = run(network, AS_CLASSES)
    assert dict(held(model)) == expected(network)
    model, _ = run(network, AS_FUNCTIONS)
    made = {
        name: (kind, {key: plain(value) for key, value in given.items()})
        for name, (kind, given) in fake_nn.NAMED.items()
        if kind not in ("Join", "NamedSum")
    }
    assert made == expected(network, chained)


# The code makes what the table has ----------------------------------------------------------------


@pytest.mark.parametrize("network", [*with_heads()], ids=lambda network: network.name)
def test_every_layer_of_every_network_is_made_as_the_table_has_it(network):
    check(network)


@settings(max_examples=60)
@given(networks())
def test_every_layer_of_any_network_is_made_as_the_table_has_it(network):
    check(network)


@pytest.mark.parametrize("name", composites())
def test_every_composite_of_the_conformance_suite(name):
    check(composites()[name])


def test_what_has_no_layers_is_left_out_or_passed_on():
    nothing = sequential()
    layers = sequential(
        stage=sequential(part_1=nothing, part_2=nothing, part_3=nothing),
        aux1=Aux(nothing, 0.3),
        conv_1=conv(2, 1),
        conv_2=conv(2, 1),
        conv_3=conv(2, 1),
        block=concat(left=nothing, right=conv(2, 1)),
        sum=residual(nothing),
    )
    network = googlenet.Network("n", layers, (2, 5, 7), "test")
    check(network)
    model, _ = run(network, AS_FUNCTIONS)
    # The images of fake_nn are their shape, and its layers pass it on.
    assert model.outputs[1] == (5, 7, 2)


@STYLES
@pytest.mark.parametrize("network", [*with_heads()], ids=lambda network: network.name)
def test_the_form_of_a_file(network, style):
    text = write(network, style).text
    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.startswith(f"# {network.name}: ")
    assert f"{googlenet.count_parameters(network):,} parameters" in text
    tree = ast.parse(text)
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules <= {"tests.core"}
    assert text.endswith("\n")
    assert not re.search(r"\n{4}|[ \t]\n|\n\n$", text)


def test_a_loop_or_a_class_changes_with_the_spec():
    """A changed number of channels is in the code without another edit."""
    network = googlenet.get_network("googlenet")
    row = (*INCEPTION["4c"][:1], 130, *INCEPTION["4c"][2:])
    stage = dict(network.layers.children)["b4"]
    blocks = {**dict(stage.children), "inception_4c": inception(*row)}
    layers = {**dict(network.layers.children), "b4": sequential(**blocks)}
    changed = replace(network, layers=sequential(**layers))
    before, after = (write(each, AS_CLASSES).text.splitlines() for each in (network, changed))
    different = [
        (a, b)
        for a, b in zip(before, after, strict=True)
        if a != b and not a.startswith("#")  # the number of parameters
    ]
    ((old, new),) = different
    assert re.sub(r"\b128, 256\b", "130, 256", old) == new


# Names and order that are easily mistaken ---------------------------------------------------------


def network_of(name="n", /, **layers):
    return googlenet.Network(name, sequential(**layers), (3, 9, 9), "test")


def returned(text):
    """The statements behind the return of a function, of which there must be none."""
    for function in ast.walk(ast.parse(text)):
        if isinstance(function, ast.FunctionDef):
            ends = [isinstance(each, ast.Return) for each in function.body]
            yield from function.body[ends.index(True) + 1 :] if True in ends else []


@pytest.mark.parametrize("out", [3, 96])
def test_nothing_stands_behind_a_return(out):
    """A statement on several lines, and after it a loop."""

    def stage(channels):
        layer = spec.Conv(channels, (3, 1), (2, 1), ((1, 1), (1, 1)), 3, False)
        scales = {f"drop_{i}": spec.Scale(0.5, "always") for i in range(1, 4)}
        return replace(sequential(conv=layer, **scales), block="Stage")

    network = network_of(a=stage(out), b=stage(out + 3))
    check(network)
    assert not [*returned(write(network, AS_FUNCTIONS).text)]


@settings(max_examples=60)
@given(networks())
def test_nothing_stands_behind_a_return_of_any_network(network):
    assert not [*returned(write(network, AS_FUNCTIONS).text)]


def test_what_is_returned_is_broken_as_it_is_returned():
    """`return ` is longer than `x = `: for some of these names only it goes over the edge."""
    for length in range(30, 60):
        last = {"z" * length: conv_layer(3, 1)}
        network = network_of(
            a=replace(sequential(c=conv_layer(3, 1), **last), block="Stage"),
            b=replace(sequential(c=conv_layer(4, 1), **last), block="Stage"),
        )
        for style in (AS_CLASSES, AS_FUNCTIONS):
            assert max(map(len, write(network, style).text.splitlines())) <= WIDTH


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("label", ["", "Stage"])
def test_a_trunk_and_a_sequence_of_the_same_layers_are_two_classes(first, label):
    def head():
        return sequential(pool=spec.GlobalAvgPool(), fc=spec.Dense(5, True))

    trunk = replace(sequential(conv=conv_layer(4, 1), aux1=Aux(head(), 0.3)), block=label)
    plain = replace(sequential(conv=conv_layer(4, 1), aux1=sequential(r=spec.ReLU())), block=label)
    other = replace(
        trunk, children=(trunk.children[0], ("aux1", Aux(sequential(r=spec.ReLU()), 1)))
    )
    layers = [other, plain] if first else [plain, other]
    network = network_of(s1=layers[0], s2=layers[1])
    check(network)
    for style in (AS_CLASSES, AS_FUNCTIONS):
        model, _ = run(network, style)
        found = model.forward(1) if style is AS_CLASSES else model.outputs
        assert len(found) == 2


def test_heads_have_a_variable_each():
    """As `x` is taken, it becomes `x_`; another head may be called that."""
    head = Aux(sequential(r=spec.ReLU()), 0.3)
    network = network_of(
        x=head, a=sequential(x__=head, r=spec.ReLU()), x_=head, self=head, b=conv(2, 1)
    )
    check(network)
    for style in (AS_CLASSES, AS_FUNCTIONS):
        written = write(network, style)
        (made,) = [
            node
            for node in ast.parse(written.text).body
            if getattr(node, "name", "") == written.name
        ]
        end = [node for node in ast.walk(made) if isinstance(node, ast.Return)][-1].value
        values = end if style is AS_CLASSES else end.args[1]
        assert len({ast.unparse(each) for each in values.elts}) == len(values.elts) == 5


def test_a_loop_has_a_variable_of_its_own():
    head = Aux(sequential(r=spec.ReLU()), 0.3)
    inner = sequential(**{f"b{j}": conv(3, 1) for j in range(3)})
    outer = sequential(**{f"a{i}": inner for i in range(4)})
    network = network_of(i=head, s=sequential(**{f"k{i}": outer for i in range(3)}))
    check(network)
    text = write(network, AS_FUNCTIONS).text
    assert 'name=f"s.k{j}.a{k}.b{l}"' in text
    assert 'nn.Model(images, (x, i), name="n")' in text


@STYLES
@pytest.mark.parametrize(
    "name",
    [
        "nn",
        "images",
        "x",
        "range",
        "i",
        "self",
        "super",
        "branches",
        "name",
        "math",
        "body",
        "shortcut",
        "sequential",
        "base",
        "out_a",
    ],
)
def test_a_name_hides_nothing_that_the_code_uses(style, name):
    """A block, a head, a label and a network with the name of something else."""
    head = Aux(sequential(r=spec.ReLU(), s=spec.Scale(0.5, "always")), 0.3)
    parts = concat(a=conv(2, 1), b=spec.Scale(0.5, "always"))
    loop = {f"{name}_{i}": residual(conv(5, 1), sequential(r=spec.ReLU())) for i in range(3)}
    labelled = [
        replace(concat(a=conv(n, 1), b=sequential(p=conv(n, 1), q=max_pool(1, 1))), block=name)
        for n in (2, 3)
    ]
    block = network_of(name, **{name: parts}, loop=sequential(**loop))
    layers = network_of(
        name, **{name: head}, parts=parts, loop=sequential(**loop), one=labelled[0], two=labelled[1]
    )
    for network in (block, layers):
        check(network)
        defined = [*definitions(write(network, style).text)]
        assert len(defined) == len(set(defined))


@pytest.mark.parametrize("count", [2, 3])
def test_an_argument_hides_no_function_that_is_called(count):
    def part(channels):
        inner = sequential(u=conv(channels, 1), out_a=concat(p=conv(channels, 1)))
        return replace(concat(branch_a=conv(channels, 1), b=inner), block="M")

    check(network_of(m2=part(2), m3=part(count)))


@STYLES
@pytest.mark.parametrize(
    "name",
    [
        "sum",
        "odd",
        "named_sum",
        "base",
        "none",
        "class",
        "true",
        "a\x00b",
        "a\u2028b",
        "a\nb\tc\ud800",
    ],
)
def test_any_name_of_a_network(style, name):
    network = network_of(
        name,
        r=residual(conv(3, 1), scale=0.5),
        odd=spec.Scale(0.5, "train"),
        z=concat(a=conv(2, 1)),
    )
    check(network)
    text = write(network, style).text
    text.encode()
    assert all(line.isprintable() for line in text.split("\n"))
    defined = [*definitions(text)]
    assert len(defined) == len(set(defined))


# Classes and their arguments ----------------------------------------------------------------------


def definitions(text):
    """The arguments of every class's constructor, or of every function, by name."""
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef):
            (init,) = [each for each in node.body if getattr(each, "name", "") == "__init__"] or [
                None
            ]
            found[node.name] = [each.arg for each in init.args.args[1:]] if init else []
        elif isinstance(node, ast.FunctionDef):
            found[node.name] = [each.arg for each in node.args.args]
    return found


def test_googlenet_has_the_papers_block_and_its_table():
    text = write(googlenet.get_network("googlenet"), AS_CLASSES).text
    found = definitions(text)
    branches = ["out_1x1", "reduce_3x3", "out_3x3", "reduce_5x5", "out_5x5", "out_pool"]
    assert found["Inception"] == ["in_channels", *branches]
    assert found["ConvReLU"] == ["in_channels", "out_channels", "kernel_size", "stride", "padding"]
    assert found["GoogLeNet"] == []
    for name, row in INCEPTION.items():
        assert re.search(rf"inception_{name}=Inception\(\d+, {', '.join(map(str, row))}\),", text)


def test_inception_v3_has_torchvisions_classes():
    """InceptionA(in_channels, pool_features), InceptionC(channels_7x7), InceptionE(in_channels) of
    torchvision have these arguments.
    """
    found = definitions(write(googlenet.get_network("inception_v3"), AS_CLASSES).text)
    assert found["InceptionA"] == ["in_channels", "out_pool"]
    assert found["InceptionB"] == ["channels_7x7"]
    assert found["InceptionC"] == ["in_channels"]
    assert found["ReductionA"] == found["Split"] == []
    assert "InceptionB(160)" in write(googlenet.get_network("inception_v3"), AS_CLASSES).text


def test_columns_that_are_equal_in_all_instances_are_one_argument():
    found = definitions(write(googlenet.get_network("bn_inception"), AS_CLASSES).text)
    # Both convolutions of the double 3×3 branch have the same channels in every row.
    assert found["Inception"][-3:] == ["reduce_double_3x3", "out_double_3x3", "out_pool"]


def test_an_argument_in_a_branch_whose_name_is_a_number_has_a_name():
    def block(kernel, first):
        pool = max_pool(kernel, stride=1, padding=kernel // 2)
        both = concat(branch_3x3=pool, branch_1x1=first)
        return replace(both, block="Pooled")

    network = network_of(
        one=block(3, conv_layer(4, 1)), two=block(5, conv_layer(4, 1)), three=block(3, spec.ReLU())
    )
    found = definitions(write(network, AS_CLASSES).text)
    assert "branch_3x3_kernel_size" in found["Pooled"]


def test_a_variant_of_a_block_has_a_name_of_its_own():
    """5b of BN-Inception pools by maximum."""
    found = definitions(write(googlenet.get_network("bn_inception"), AS_CLASSES).text)
    assert {"Inception", "Inception5b", "Reduction"} < set(found)
    found = definitions(write(googlenet.get_network("bn_inception"), AS_FUNCTIONS).text)
    assert {"inception", "inception_5b", "reduction"} < set(found)


def test_equal_neighbours_are_a_loop():
    network = googlenet.get_network("inception_resnet_v2")
    text = write(network, AS_CLASSES).text
    assert '**{f"block_{i}": InceptionResNetB() for i in range(1, 21)}' in text
    text = write(network, AS_FUNCTIONS).text
    assert (
        "    for i in range(1, 21):\n"
        '        x = inception_resnet_b(x, name=f"resnet_b.block_{i}")  # 17 × 17 × 1088\n'
    ) in text


def test_a_class_may_be_a_loop():
    blocks = sequential(**{f"part_{i}": conv(2, 1) for i in range(3)})
    deep = replace(blocks, block="Deep")
    layers = sequential(stage=sequential(one=deep, two=deep, three=conv(3, 1)))
    network = googlenet.Network("n", layers, (2, 5, 7), "test")
    check(network)
    text = write(network, AS_FUNCTIONS).text
    assert text.count("    for i in range(0, 3):\n") == 1
    assert len(re.findall(r'deep\(\w+, name="stage\.', text)) == 2


def test_neighbours_that_differ_or_are_counted_otherwise_are_no_loop():
    blocks = {f"block_{i}": conv(3 + (i == 2), 1) for i in range(1, 5)}
    network = googlenet.Network("n", sequential(stage=sequential(**blocks)), (2, 5, 7), "test")
    assert "range" not in write(network, AS_CLASSES).text
    check(network)
    blocks = {f"block_{i}": conv(2, 1) for i in (1, 2, 4, 5)}
    network = googlenet.Network("n", sequential(stage=sequential(**blocks)), (2, 5, 7), "test")
    assert "range" not in write(network, AS_CLASSES).text
    check(network)


def test_a_stage_that_passes_its_heads_on():
    text = write(googlenet.get_network("googlenet_paper", aux=True), AS_CLASSES).text
    assert "        x, aux1, aux2 = self.b4(x)\n" in text
    assert "        return self.head(x), aux1, aux2\n" in text
    text = write(googlenet.get_network("googlenet_paper", aux=True), AS_FUNCTIONS).text
    assert '    x, aux1, aux2 = b4(x, name="b4")' in text
    assert 'return nn.Model(images, (x, aux1, aux2), name="googlenet_paper")' in text


def test_only_what_is_used_is_copied_and_what_that_needs_with_it():
    network = googlenet.Network("n", sequential(conv=conv_layer(3, 1)), (2, 5, 7), "test")
    text = write(network, AS_CLASSES).text
    assert "class" in text
    assert "Odd" not in text
    network = googlenet.Network("n", sequential(pool=spec.GlobalAvgPool()), (2, 5, 7), "test")
    text = write(network, AS_CLASSES).text
    assert text.index("class Base(nn.Layer)") < text.index("class Odd(Base)")
    assert "import math\n\nfrom tests.core import fake_nn as nn\n\nnn.images(0)\n" in text


@STYLES
def test_names_that_would_hide_others(style):
    """Children called as variables, arguments, functions or layers of the code itself."""
    block = concat(
        x=conv(2, 1), name=conv(3, 1), branches=conv_layer(1, 1), body=max_pool(1, 1), nn=conv(2, 1)
    )
    layers = sequential(
        sequential=block,
        images=block,
        x=residual(residual(conv_layer(18, 1), scale=0.5), conv_layer(18, 1), scale=0.3),
        conv_re_lu=concat(conv_relu=conv(2, 1), split=concat(split=conv(2, 1))),
    )
    network = googlenet.Network("x", layers, (2, 5, 7), "test")
    check(network)
    compile(write(network, style).text, "written.py", "exec")


@pytest.mark.parametrize("label", ["class", "None", "\N{LATIN SMALL LIGATURE FI}", "a b"])
def test_a_label_that_no_class_can_have_is_refused(label):
    """Python takes the ligature for the letters f and i, and so two names for one."""
    for layer in (concat(a=conv(2, 1)), sequential(a=conv(2, 1)), residual(conv(2, 1))):
        with pytest.raises(googlenet.SpecError, match=r"\.block: expected a name such as"):
            replace(layer, block=label)


@STYLES
@pytest.mark.parametrize("name", ["class", "lambda", "if"])
def test_a_keyword_is_refused(style, name):
    layers = sequential(stage=sequential(**{name: conv_layer(3, 1)}))
    network = googlenet.Network("n", layers, (2, 5, 7), "test")
    with pytest.raises(googlenet.SpecError, match=rf"stage\.{name}: .* keyword of Python; rename"):
        write(network, style)


@STYLES
def test_an_attribute_of_the_framework_is_refused(style):
    style = type(style)(replace(style.spelling, attributes=frozenset({"train"})))
    for layers in ({"train": conv_layer(3, 1)}, {"a": concat(train=conv(3, 1))}):
        with pytest.raises(googlenet.SpecError, match=r"train: .* an attribute of that name; ren"):
            write(network_of(**layers), style)


def test_a_layer_from_nowhere_is_refused():
    def elsewhere(site):
        return (replace(leaf(site)[0], target=Part, args=("",), kwargs={}),)

    style = type(AS_CLASSES)(replace(AS_CLASSES.spelling, leaf=elsewhere))
    network = googlenet.Network("n", sequential(conv=conv_layer(3, 1)), (2, 5, 7), "test")
    with pytest.raises(googlenet.BackendError, match=r"printing\.Part: cannot be written"):
        write(network, style)


# One block ----------------------------------------------------------------------------------------


@STYLES
def test_one_block_has_what_it_needs_and_nothing_else(style):
    network = googlenet.get_network("googlenet")
    text = write(network, style, block="inception_3a").text
    found = set(definitions(text))
    assert {snake(name) for name in found} - {"sequential"} == {"conv_relu", "inception"}
    last = text.rstrip().splitlines()[-1]
    assert ", ".join(map(str, INCEPTION["3a"])) in last
    assert text.startswith("# b3.inception_3a of googlenet: ")
    assert write(network, style, block="b3.inception_3a").text == text


@STYLES
@pytest.mark.parametrize("block", ["b3", "b3.inception_3a.branch_3x3", "b3.inception_3a", "head"])
def test_any_block_by_its_path_makes_its_layers(style, block):
    network = googlenet.get_network("googlenet")
    written = write(network, style, block=block)
    module = {"__name__": "written"}
    fake_nn.NAMED.clear()
    exec(compile(written.text, "written.py", "exec"), module)
    if style is AS_CLASSES:
        found = {f"{block}.{path}" for path, _ in held(module[written.name])}
    else:
        found = {name for name, (kind, _) in fake_nn.NAMED.items() if kind != "Join"}
    assert found == {site.path for site in walk(network) if site.path.startswith(f"{block}.")}


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (
            "inception_9z",
            r"googlenet has no 'inception_9z'; did you mean inception_\w+\? it has b1, b2, b3",
        ),
        ("head.dense", r"googlenet has a single layer at 'head\.dense', expected a block"),
        ("branch_5x5", r"'branch_5x5' is the name of 9 parts of googlenet; give the path of one"),
        ("", r"googlenet has no ''"),
    ],
)
def test_blocks_that_are_none(block, message):
    with pytest.raises(googlenet.UnknownNameError, match=message):
        block_path(googlenet.get_network("googlenet"), block)


# Names and lines ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("googlenet", "GoogLeNet"),
        ("torchvision:inception_v3", "InceptionV3"),
        ("inception_resnet_v2", "InceptionResNetV2"),
        ("vgg11_small", "VGG11Small"),
        ("every layer/that", "EveryLayerThat"),
        ("7 layers", "Network7Layers"),
        ("…", "Network"),
    ],
)
def test_names_of_networks(name, expected):
    assert network_name(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ConvNormReLU", "conv_norm_relu"),
        ("InceptionResNetA", "inception_resnet_a"),
        ("InceptionResNetABranches", "inception_resnet_a_branches"),
        ("Inception5b", "inception_5b"),
        ("B4", "b4"),
        ("VGGBlock", "vgg_block"),
        ("Lambda", "lambda_block"),
    ],
)
def test_names_of_functions(name, expected):
    assert snake(name) == expected


def test_names_of_stages():
    assert (camel("mixed_3a"), camel("b4")) == ("Mixed3a", "B4")


def call(*texts, closing=")", long=False):
    return Group("f(", tuple(map(Part, texts)), closing, long)


def test_lines_break_as_formatters_break_them():
    a, b, c = "a" * 40, "b" * 40, "c" * 40
    assert lines(call("1", "2"), before="x = ") == ["x = f(1, 2)"]
    assert lines(call(a, b, "3"), "    ", before="x = self.y.z.") == [
        "    x = self.y.z.f(",
        f"        {a}, {b}, 3",
        "    )",
    ]
    assert lines(call(a, b, c)) == ["f(", f"    {a},", f"    {b},", f"    {c},", ")"]
    assert lines(call("1", long=True)) == ["f(", "    1,", ")"]
    listed = Group("[", (Part(a), Part(b), Part("3" * 20)), "]")
    assert lines(listed, before="y = ")[1:-1] == [f"    {a},", f"    {b},", f"    {'3' * 20},"]


def test_a_comment_stands_above_where_it_does_not_fit():
    assert lines(call("1"), comment="one") == ["f(1)  # one"]
    assert lines(call("1"), "  ", comment="1" * 96) == [f"  # {'1' * 96}", "  f(1)"]
    nested = Group("g(", (Part("a=", call("1"), "one"), Part("b=", call("2"), "two")), ")")
    assert lines(nested) == ["g(", "    a=f(1),  # one", "    b=f(2),  # two", ")"]


# Pages --------------------------------------------------------------------------------------------


def test_a_page_holds_every_source_as_it_is():
    source = write(googlenet.get_network("googlenet"), AS_CLASSES).text
    page = markdown("googlenet", {"one": source, "other": source})
    assert page.count(f"```python\n{source}```\n") == 2
    assert re.findall(r"^#+ .*$", page.split("```")[0], re.M) == ["# googlenet", "## one"]


def test_colours_change_no_character():
    import html

    source = 'def f(a, b="<&>"):  # π < 3\n    return a\n\n\nclass X:\n    """Two\n    lines."""\n'
    coloured_text = coloured(source)
    assert html.unescape(re.sub(r"</?[ibq]>", "", coloured_text)) == source
    assert "<b>def</b> f" in coloured_text
    assert "<i># π &lt; 3</i>" in coloured_text


def test_a_page_of_html_is_well_formed_and_stands_alone():
    from html.parser import HTMLParser

    open_tags, seen = [], []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attributes):
            seen.append((tag, dict(attributes)))
            if tag not in ("meta", "input"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    page = html_page("a < b", {"one": "x = 1\n", "other": "y = 2\n"})
    Parser().feed(page)
    assert not open_tags
    assert "<title>a &lt; b</title>" in page
    assert [tag for tag, _ in seen].count("section") == 2
    assert [tag for tag, _ in seen].count("input") == 3  # a tab each, and both side by side
    assert not [tag for tag, given in seen if tag in ("script", "link") or "src" in given]
