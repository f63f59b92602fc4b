"""Models of ONNX: built from the spec, run by onnxruntime and saved."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import onnx
import onnxruntime

from googlenet import spec
from googlenet.arrays import Array, Params
from googlenet.backend import shared
from googlenet.backend.call import Call
from googlenet.backend.checks import check_images, check_taps
from googlenet.errors import SpecError, WeightsError
from googlenet.files import native_file
from googlenet.spec import Network, param_specs
from googlenet.version import __version__
from googlenet.weights.check import check_params
from googlenet.weights.files import network_metadata

from . import layout, leaves, modules
from .sessions import Provider, provider_of, session

name = "onnx"
unbiased_running_variance = False
file_suffix = ".onnx"

#: Layers are made by calling: one, or several in a row, on values of a graph.
Layers: TypeAlias = Callable[[Any], Any]

#: The endings of the names of a chain's operators before its last one, after the path of that.
FIRST: Mapping[Any, str] = {
    modules.Flatten: "flatten",
    modules.GlobalAveragePool: "mean",
    modules.Pad: "cut",
}

#: What protobuf holds at most, less than that: room for all but the arrays.
_MOST_BYTES = 2**31 - 2**24


class Model:
    """A model of ONNX and what runs it: called on images (N, C, H, W), NumPy's float32, it returns
    the logits (N, K), or with auxiliary heads the tuple (logits, aux1, aux2).

    `network` is what it was built from, `session` the `onnxruntime.InferenceSession`, whose input
    is `images` and whose outputs are called as the network's; `serialized` is the model's bytes.
    Threads may share it.
    """

    def __init__(
        self, network: Network, proto: onnx.ModelProto, taps: dict[str, str], provider: Provider
    ) -> None:
        self.network, self.provider = network, provider
        self._taps = taps
        self._hold(proto.SerializeToString())

    def _hold(self, data: bytes) -> None:
        self.serialized = data
        self._tapped: tuple[frozenset[str], onnxruntime.InferenceSession] | None = None
        self.session = session(data, self.provider, name)

    @property
    def proto(self) -> onnx.ModelProto:
        """A copy of the model as ONNX has it; assign one with other weights to run those.

        Assigning raises `WeightsError` if it is not the same graph.
        """
        proto: onnx.ModelProto = onnx.ModelProto.FromString(self.serialized)
        return proto

    @proto.setter
    def proto(self, proto: onnx.ModelProto) -> None:
        """Run the weights of `proto`."""
        if not isinstance(proto, onnx.ModelProto):
            raise WeightsError(f"proto: expected an onnx.ModelProto, got {type(proto).__name__}")
        before = self.proto
        same_operators = sorted(map(str, proto.opset_import)) == sorted(
            map(str, before.opset_import)
        )
        if not same_operators or _graph_of(proto) != _graph_of(before):
            raise WeightsError(
                f"proto: is not the graph of network '{self.network.name}' as this model has it;"
                " build a model of its own network"
            )
        try:
            params = _arrays(self.network, proto)
        except Exception as error:  # it may lack values, or have them in a file
            reason = " ".join(str(error).split())[:200]
            raise WeightsError(f"proto: its initializers cannot be read ({reason})") from error
        check_params(self.network, params, source="proto")
        self._hold(proto.SerializeToString())

    def __call__(self, images: Array) -> Array | tuple[Array, ...]:
        """The logits of images (N, C, H, W), or the tuple with those of the heads."""
        outputs = tuple(self.run(images).values())
        return outputs if len(outputs) > 1 else outputs[0]

    def run(self, images: Array, taps: frozenset[str] = frozenset()) -> dict[str, Array]:
        """The outputs of images (N, C, H, W) by name, and the layers at the paths `taps`."""
        x = layout.images_to_native(check_images(self.network, images))
        sources = {each: each for each in self.network.outputs}
        sources |= {path: self._taps[path] for path in taps}
        wanted = list(dict.fromkeys(each for each in sources.values() if each != "images"))
        held = self.session if not taps else self._with_taps(taps, wanted)
        found = dict(zip(wanted, held.run(wanted, {"images": x}), strict=True))
        if "images" in sources.values():  # a layer that is the identity
            found["images"] = x.copy()
        return {path: layout.output_from_native(found[each]) for path, each in sources.items()}

    def _with_taps(self, taps: frozenset[str], wanted: list[str]) -> onnxruntime.InferenceSession:
        """A session with these outputs, that of the last call if it has them."""
        kept = self._tapped
        if kept is None or kept[0] != taps:
            proto = self.proto
            given = {each.name: each for each in proto.graph.value_info}
            outputs = {each.name for each in proto.graph.output}
            proto.graph.output.extend(given[each] for each in wanted if each not in outputs)
            kept = (taps, session(proto.SerializeToString(), self.provider, name))
            self._tapped = kept
        return kept[1]

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the sessions, which cannot be copied."""
        return {k: v for k, v in vars(self).items() if k not in ("session", "_tapped")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._hold(self.serialized)

    def __repr__(self) -> str:
        return str(onnx.printer.to_text(_graph_of(self.proto)))


def build(network: Network, params: Params, *, device: str | None = None) -> Model:
    """A `Model` with `params` as its initializers; `device` is what onnxruntime's execution
    provider is called, such as "CUDAExecutionProvider", or for short "cpu" or "cuda:0".

    Raises `SpecError` for a network that is too large for a file of ONNX, `WeightsError` if the
    weights do not fit, `DeviceError` for a device that does not exist.
    """
    params, specs = check_params(network, params), param_specs(network)
    provider = provider_of(device, name)
    if (size := shared.file_bytes(network)) > _MOST_BYTES:
        raise SpecError(
            f"network '{network.name}': its weights have {size:,} bytes, more than a file of ONNX"
            " can hold (2 GiB); make it smaller"
        )
    kept: dict[str, modules.Value] = {}

    def keep(site: spec.Site, layers: Layers) -> Layers:
        hook = shared.keeper(site.path, kept)

        def call(x: Any) -> Any:
            output = layers(x)
            hook(None, x, output)
            return output

        return call

    channels, height, width = network.input_shape
    images = modules.images_of((channels, height, width))
    layers = spec.fold(
        network,
        lambda site: keep(site, _leaf(site)),
        lambda site, children: keep(site, compose(site, children)),
    )
    proto = modules.to_model(
        images,
        layers(images),
        name=network.name,
        names=network.outputs,
        arrays={path: layout.to_native(each, params[path]) for path, each in specs.items()},
    )
    proto.producer_name, proto.producer_version = "googlenet", __version__
    proto.graph.doc_string = network.source
    onnx.helper.set_model_props(proto, network_metadata(network))
    # A node keeps its name, though its output may have been given another one.
    given = {node.name: node.output[0] for node in proto.graph.node}
    taps = {path: given.get(value.name, "images") for path, value in kept.items()}
    return Model(network, proto, taps, provider)


def _leaf(site: spec.LeafSite) -> Layers:
    *before, last = leaves.leaf(site)
    first = [_evaluate(call, f"{site.path}.{FIRST[call.target]}") for call in before]
    return _in_sequence(*first, _evaluate(last, site.path))


def _evaluate(call: Call, named: str) -> Layers:
    layer: Layers = call.evaluate(name=named)
    return layer


def compose(site: spec.CompositeSite, children: dict[str, Layers]) -> Layers:
    """The layers of a composite, its children in place under their own paths."""
    return shared.composed(
        site,
        children,
        sequence=lambda layers: _in_sequence(*layers.values()),
        trunk=_trunk,
        concatenation=lambda layers: _joined(modules.Concat(name=site.path), *layers.values()),
        total=lambda body, shortcut, scale: _joined(
            modules.ResidualSum(scale, name=site.path), body, shortcut
        ),
    )


def _in_sequence(*layers: Layers) -> Layers:
    """Each one applied to the result of the one before."""

    def call(x: Any) -> Any:
        for layer in layers:
            x = layer(x)
        return x

    return call


def _joined(join: Layers, *layers: Layers) -> Layers:
    """All applied to one value, their results joined."""
    return lambda x: join([layer(x) for layer in layers])


def _trunk(children: dict[str, Layers], heads: tuple[str, ...], trunks: tuple[str, ...]) -> Layers:
    """Layers in sequence with auxiliary heads beside them: x → (y, aux1, aux2, ...)."""

    def call(x: Any) -> tuple[Any, ...]:
        outputs: list[Any] = []
        for child, layers in children.items():
            if child in heads:
                outputs.append(layers(x))
            elif child in trunks:
                x, *more = layers(x)
                outputs.extend(more)
            else:
                x = layers(x)
        return (x, *outputs)

    return call


def params_of(model: Model) -> Params:
    """The weights of `model` by path in canonical layout."""
    return _arrays(network_of(model), model.proto)


def _arrays(network: Network, proto: onnx.ModelProto) -> Params:
    held = {each.name: each for each in proto.graph.initializer}
    return {
        path: layout.from_native(each, held[path]) for path, each in param_specs(network).items()
    }


def _graph_of(proto: onnx.ModelProto) -> onnx.GraphProto:
    """Only the nodes, the inputs and outputs, and what the initializers are like."""
    graph = proto.graph
    arrays = [
        onnx.TensorProto(name=each.name, dims=each.dims, data_type=each.data_type)
        for each in graph.initializer
    ]
    return onnx.GraphProto(
        name=graph.name,
        node=graph.node,
        input=graph.input,
        output=graph.output,
        initializer=arrays,
    )


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write `model` to `path` as ONNX has it, for `onnxruntime.InferenceSession` and `onnx.load`.

    Raises `WeightsError` for any other ending or a file that cannot be written; an existing file is
    then left unchanged.
    """
    with native_file(path, file_suffix, shared.file_bytes(network_of(model))) as temporary:
        onnx.save_model(model.proto, temporary)


def forward(
    model: Model, images: Array, *, train: bool = False, taps: Iterable[str] = ()
) -> dict[str, Array]:
    """The outputs of images (N, C, H, W) by name, and the tapped layers; there is no training mode.
    Raises as `googlenet.backend.checks` does.
    """
    return model.run(images, check_taps(network_of(model), taps))


def network_of(model: Model) -> Network:
    """The network that `model` was built from."""
    return model.network
