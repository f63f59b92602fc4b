"""PaddlePaddle."""

import paddle

from .folder import book, installed, of_library, own


def make(folder):
    module, run, base = of_library(folder, "paddle:googlenet")
    ours, writer = "paddle:googlenet", "paddle.save"
    state = module.state_dict()

    def save(what, file, held, model=ours, base=base, **options):
        paddle.save(held, str(folder.path / file), **options)
        folder.add(what, file, writer, base, model)

    save("state_dict", "net.pdparams", state)
    save("without --from", "unnamed.pdparams", state, None)
    save("of protocol 2", "two.pdparams", state, protocol=2)
    save("{'model': …, 'epoch': 3}", "wrapped.pdparams", {"model": state, "epoch": 3})
    save("prefix _layers.", "layers.pdparams", {f"_layers.{key}": x for key, x in state.items()})
    rounded = {key: tensor.astype("bfloat16") for key, tensor in state.items()}
    kept = {key: tensor.clone() for key, tensor in state.items()}
    module.set_state_dict({key: tensor.astype("float32") for key, tensor in rounded.items()})
    images = folder.images(base)
    other = folder.base("paddle-bfloat16", images, run(images)[0])
    save("bfloat16 as uint16", "bfloat16.pdparams", rounded, base=other)
    module.set_state_dict(kept)
    module.eval()
    spec = [paddle.static.InputSpec([None, *images.shape[1:]], "float32")]
    paddle.jit.save(module, str(folder.path / "program"), input_spec=spec)
    folder.add("for inference", "program.pdiparams", "paddle.jit.save", base, ours)
    with folder.optional("paddle2onnx"):
        import paddle2onnx

        program = [str(folder.path / f"program.{each}") for each in ("json", "pdiparams")]
        paddle2onnx.export(*program, str(folder.path / "paddle2onnx.onnx"))
        folder.add("ONNX", "paddle2onnx.onnx", installed("paddle2onnx"), base)
    second, _, base = of_library(folder, "paddle:inception_v3")
    save("state_dict", "v3.pdparams", second.state_dict(), "paddle:inception_v3", base)

    own(folder, "paddle", ".pdparams", writer)
    book(folder, "paddle", ".pdparams", writer)
