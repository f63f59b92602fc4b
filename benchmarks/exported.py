"""PyTorch's own exporter as a peer of the backend `onnx`: `python benchmarks/exported.py
peer.onnx` writes the book's GoogLeNet with it, for `googlenet bench --own onnx=peer.onnx`.

In PyTorch's environment, with `pip install onnx onnxscript`, which the exporter needs. `--legacy`
takes the older exporter, by TorchScript.
"""

import argparse

import handwritten_torch
import torch


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--legacy", action="store_true")
    asked = parser.parse_args()
    torch.manual_seed(0)
    net = handwritten_torch.construct().eval()
    images = torch.zeros(2, 1, 96, 96)
    names = {"input_names": ["images"], "output_names": ["logits"]}
    if asked.legacy:
        axes = {"dynamic_axes": {"images": {0: "N"}, "logits": {0: "N"}}, "dynamo": False}
    else:
        axes = {"dynamic_shapes": ({0: torch.export.Dim("N")},), "dynamo": True}
    torch.onnx.export(net, (images,), asked.file, **names, **axes)


if __name__ == "__main__":
    main()
