"""MindSpore."""

import mindspore

from .folder import book, of_library, own


def make(folder):
    with folder.optional("mindcv"):
        module, _, base = of_library(folder, "mindcv:googlenet")
        ours, writer = "mindcv:googlenet", "mindspore.save_checkpoint"
        mindspore.save_checkpoint(module, str(folder.path / "net.ckpt"))
        folder.add("its own file", "net.ckpt", writer, base, ours)
        folder.add("without --from", "net.ckpt", writer, base, None)
        held = [
            {"name": f"network.{key}", "data": each}
            for key, each in module.parameters_dict().items()
        ]
        moments = [
            {"name": f"moments.{key}", "data": each}
            for key, each in module.parameters_dict().items()
        ]
        mindspore.save_checkpoint(held + moments, str(folder.path / "trained.ckpt"))
        folder.add("prefix network., moments besides", "trained.ckpt", writer, base, ours)
        mindspore.save_checkpoint(module, str(folder.path / "crc.ckpt"), crc_check=True)
        folder.add("with check sums", "crc.ckpt", writer, base, ours)
        images = mindspore.Tensor(folder.images(base))
        module.set_train(False)
        path = str(folder.path / "exported")
        mindspore.export(module, images, file_name=path, file_format="MINDIR")
        folder.add("MindIR", "exported.mindir", "mindspore.export", base, ours)

    own(folder, "mindspore", ".ckpt", "save_checkpoint")
    book(folder, "mindspore", ".ckpt", "save_checkpoint", refused="pads otherwise")
