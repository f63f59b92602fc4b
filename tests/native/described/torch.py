"""PyTorch."""

import copy
import pickle
import warnings

import torch

MODEL = torch.nn.Module
PRINTED = [
    "(inception_3a): Concatenation(",
    "(branch_5x5): Sequential(",
    "Conv2d(3, 64, kernel_size=(7, 7), stride=(2, 2), padding=(3, 3))",
]
UNKNOWN_DEVICES = ["no-such-device"]
SAVE = "torch.save"
COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda model: pickle.loads(pickle.dumps(model))}


def _compiled(model):
    run = torch.compile(model, backend="aot_eager", fullgraph=True)

    def evaluate(images):
        with torch.no_grad():
            return run(images)

    return evaluate


GRAPHS = {"torch.compile": _compiled}


def _save_whole(model, images, folder):
    torch.save(model, folder / "model.pt")
    return torch.load(folder / "model.pt", weights_only=False)


def _export(model, images, folder):
    with warnings.catch_warnings():
        # Every weight in channels last order is warned of, though its bytes are kept whole: the
        # outputs of the file, which the test compares bit for bit, are what shows that.
        warnings.filterwarnings("ignore", "No complete tensor found in the group", UserWarning)
        torch.export.save(torch.export.export(model, (images,)), folder / "model.pt2")
    return torch.export.load(folder / "model.pt2").module()


EXPORTS = {"torch.save": _save_whole, "torch.export": _export}


def tensor(images):
    return torch.from_numpy(images)


def array(output):
    return output.detach().numpy()


def shape(batch, channels, height, width):
    return (batch, channels, height, width)


def evaluating(model):
    return model.eval()


def layers(model):
    return list(model.modules())


def printed(model):
    return repr(model)


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def names(model):
    return [name for name, _ in model.named_parameters()]


def trained(model):
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def save(model, file):
    torch.save(model.state_dict(), file)


def train(model, images, labels, steps):
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    targets = torch.tensor(labels)
    losses = []
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(model(images), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses
