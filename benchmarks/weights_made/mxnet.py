"""MXNet."""

import mxnet

from .folder import book, installed, of_library, own


def make(folder):
    module, _, base = of_library(folder, "gluon:inception_v3")
    ours, writer = "gluon:inception_v3", installed("mxnet")
    module.save_parameters(str(folder.path / "net.params"))
    folder.add("save_parameters", "net.params", writer, base, ours)
    folder.add("without --from", "net.params", writer, base, None)
    module.collect_params().save(str(folder.path / "collected.params"))
    folder.add("collect_params().save", "collected.params", writer, base, ours)
    module.hybridize()
    module(mxnet.nd.zeros((1, 3, 299, 299)))
    module.export(str(folder.path / "exported"))
    folder.add("export, arg: and aux:", "exported-0000.params", writer, base, ours)
    stripped = {
        key.removeprefix(module.prefix): each.data()
        for key, each in module.collect_params().items()
    }
    mxnet.nd.save(str(folder.path / "stripped.params"), stripped)
    folder.add("as published before 1.3", "stripped.params", "mxnet.nd.save", base, ours)
    mxnet.nd.save(str(folder.path / "list.params"), list(stripped.values()))
    folder.add("a list without names", "list.params", "mxnet.nd.save", base, ours, refused="name")
    with folder.optional("gluoncv"):
        other, _, base = of_library(folder, "gluoncv:googlenet")
        other.save_parameters(str(folder.path / "cv.params"))
        folder.add("save_parameters", "cv.params", installed("gluoncv"), base, "gluoncv:googlenet")
        other.collect_params().save(str(folder.path / "cv_collected.params"))
        ours = "gluoncv:googlenet"
        folder.add("collect_params().save", "cv_collected.params", installed("gluoncv"), base, ours)
    own(folder, "mxnet", ".params", writer)
    book(folder, "mxnet", ".params", writer)
