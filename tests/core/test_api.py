"""What `import googlenet` promises (docs/api.md)."""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import googlenet
from googlenet import errors, spec
from googlenet.spec.blocks import conv_layer, sequential

ROOT = Path(__file__).parents[2]


def test_everything_promised_is_there():
    for name in googlenet.__all__:
        assert getattr(googlenet, name) is not None
    promised = {"get_model", "get_network", "get_backend", "backends", "Backend", "Recipe"}
    assert promised | {"Network"} <= set(googlenet.__all__)


def test_every_error_that_is_raised_is_public():
    raised = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.GoogLeNetError)
    }
    assert raised <= set(googlenet.__all__)


def test_no_public_function_has_the_name_of_a_submodule():
    packages = [googlenet.__name__] + [
        module.name
        for module in pkgutil.walk_packages(googlenet.__path__, "googlenet.")
        if module.ispkg
    ]
    for name in packages:
        package = importlib.import_module(name)
        for module in pkgutil.iter_modules(package.__path__):
            found = getattr(package, module.name, None)
            assert found is None or inspect.ismodule(found), f"{name}.{module.name}"


def test_api_page_names_what_is_public():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for name in googlenet.__all__:
        assert f"`{name}" in page, name


def test_a_model_by_two_names():
    model = googlenet.get_model("googlenet", "numpy")
    assert model.network == googlenet.get_network("googlenet")


def test_a_model_without_a_framework_says_which_there_are():
    with pytest.raises(googlenet.UnknownNameError, match=r"framework: name one.*numpy"):
        googlenet.get_model("googlenet")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: googlenet.get_model(42, "numpy"), "UnknownNameError", "expected a name"),
        (lambda: googlenet.get_network(None), "UnknownNameError", "expected a name"),
        (lambda: googlenet.get_model("googlenet", 3), "UnknownNameError", "expected a name"),
        (lambda: googlenet.get_backend(None), "UnknownNameError", "expected a name"),
        (
            lambda: googlenet.get_model("googlenet", "numpy", weights=3),
            "WeightsError",
            "expected a mapping of paths to arrays, got 3",
        ),
    ],
)
def test_arguments_of_another_kind_are_refused_in_words(call, error, message):
    with pytest.raises(getattr(googlenet, error), match=message):
        call()


@pytest.mark.parametrize("shape", [96, (96, 96), "96", (1, 96, 96.0), (1, 0, 96), None.__class__])
def test_an_input_shape_that_is_none_is_refused(shape):
    expected = r"Network\.input_shape: expected \(channels, height, width\), each at least 1"
    with pytest.raises(googlenet.SpecError, match=expected):
        googlenet.get_model("googlenet", "numpy", input_shape=shape)


def test_a_lone_size_is_told_what_was_meant():
    with pytest.raises(googlenet.SpecError, match=r"for example \(1, 96, 96\), got 96"):
        googlenet.get_network("googlenet", input_shape=96)


def test_a_network_prints_on_a_line():
    shown = repr(googlenet.get_network("googlenet"))
    assert shown == (
        "<Network 'googlenet' (1, 96, 96): b1, b2, b3, b4, b5, head → logits;"
        " Dive into Deep Learning, section 8.4>"
    )
    deep = sequential(**{f"layer_{i}": conv_layer(3, 1) for i in range(1000)})
    assert len(repr(spec.Network("deep", deep, (3, 5, 7), "test"))) < 400


def test_backends_are_named_without_importing_them():
    assert "numpy" in googlenet.backends()
    assert list(googlenet.backends()) == sorted(googlenet.backends())


def test_the_old_name_warns_and_works():
    with pytest.warns(DeprecationWarning, match=r"googlenet\.get_backend"):
        backend = googlenet.load("numpy")
    assert backend is googlenet.get_backend("numpy")


def test_documented_modules_import():
    """Dotted names of ours in the pages lead somewhere."""
    import re

    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            try:
                tree = ast.parse(code)
            except SyntaxError:  # an excerpt
                continue
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("googlenet"):
                    if node.module.startswith("googlenet_"):
                        continue
                    module = importlib.import_module(node.module)
                    for alias in node.names:
                        assert hasattr(module, alias.name), (
                            f"{page.name}: {node.module}.{alias.name}"
                        )
