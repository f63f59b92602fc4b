"""Where the files are put, and what is said of them."""

import json
import shutil
import sys
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from zoo_models import LIBRARIES, MODELS, random_images


def installed(package):
    """`package` and its version, as a row says who wrote it."""
    with suppress(PackageNotFoundError):
        return f"{package} {version(package)}"
    return package


class Folder:
    """Where files are put, and what is said of them."""

    def __init__(self, path):
        self.path, self.rows = path, []
        path.mkdir(parents=True, exist_ok=True)

    def finish(self):
        """Write what all rows say."""
        (self.path / "rows.json").write_text(json.dumps(self.rows, ensure_ascii=False))

    def images(self, base):
        """The images (N, C, H, W) of a base."""
        with np.load(self.path / f"{base}.npz") as held:
            return held["images"]

    def base(self, name, images, logits):
        """Keep what the library makes of `images` (N, C, H, W)."""
        np.savez(self.path / f"{name}.npz", images=images, logits=logits)
        return name

    def add(self, what, file, writer, base, model=None, **more):
        """A row. `model` is for --from; `refused` in `more` is a part of the message."""
        row = {"what": what, "file": file, "writer": writer, "base": base, "model": model, **more}
        self.rows.append(row)

    @contextmanager
    def optional(self, what):
        """What a library that is not installed would write is left out, and said."""
        try:
            yield
        except ImportError as error:
            print(f"left out: {what}: {error}", file=sys.stderr)


def of_library(folder, designator):
    """A library's own model with drawn weights, a function that runs it, and the name of its base:
    the first output for two images of its own size.
    """
    full = designator if designator in MODELS else f"{designator}+aux"
    model = MODELS[full]
    zoo, _, name = designator.partition(":")
    rng = np.random.default_rng(0)
    module, run, _ = LIBRARIES[zoo][0](name, model, rng)
    images = random_images(*model.sizes[0], rng)
    return module, run, folder.base(designator.replace(":", "-"), images, run(images)[0])


def own(folder, framework, suffix, writer):
    """What native models' own function writes: of `get_model`, and of what `code` prints."""
    import googlenet
    from googlenet.source.write import write
    from googlenet.weights.samples import random_images as images_for
    from googlenet.weights.samples import random_params
    from tests.frameworks.native import LOADERS
    from tests.frameworks.written import imported
    from tests.native.described import described

    name, backend, native = "googlenet_bn", googlenet.get_backend(framework), described(framework)
    network = googlenet.get_network(name, input_shape=(3, 96, 96))
    params, images = random_params(network), images_for(network)[:2]
    model = backend.build(network, params)
    base = folder.base("own", images, backend.forward(model, images)["logits"])
    file = folder.path / f"own{suffix}"
    native.save(model, str(file))
    folder.add("a model of get_model", file.name, writer, base, name)
    shutil.copy(file, folder.path / "own.dat")
    folder.add("the same, under another ending", "own.dat", writer, base, name)
    source = write(network, backend)
    (folder.path / "printed.py").write_text(source.text, encoding="utf-8")
    printed = getattr(imported(folder.path / "printed.py"), source.name)()
    LOADERS[framework](printed, str(file))
    native.save(printed, str(folder.path / f"printed{suffix}"))
    folder.add("a model that `code` printed", f"printed{suffix}", writer, base, name)
    googlenet.save_params(folder.path / "own.safetensors", network, params)
    target = folder.path / f"ours{suffix}"
    googlenet.convert(folder.path / "own.safetensors", target, framework=framework)
    folder.add("convert --to", target.name, "this project", base, name)


def book(folder, framework, suffix, writer, designator="d2l:googlenet", **more):
    """The book's GoogLeNet, as its readers write and save it."""
    import importlib

    import googlenet
    from googlenet.weights.samples import random_images as images_for
    from googlenet.weights.samples import random_params
    from tests.native.described import described

    users, network = importlib.import_module(f"handwritten_{framework}"), googlenet.get_network()
    images = images_for(network)[:2]
    model = users.build(random_params(network))
    base = folder.base("book", images, users.predict(model, images))
    described(framework).save(model, str(folder.path / f"book{suffix}"))
    folder.add("the book's code", f"book{suffix}", writer, base, designator, **more)
