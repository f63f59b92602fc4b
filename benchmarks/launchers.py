"""How each framework's own launcher starts two processes that train together, on one machine."""

import json
import socket
import sys
from pathlib import Path

SCRIPT = str(Path(sys.executable).with_name("googlenet"))


def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def torch(arguments, folder):
    return [
        (
            [
                sys.executable,
                "-m",
                "torch.distributed.run",
                "--nproc-per-node",
                "2",
                f"--master-port={port()}",
                "-m",
                "googlenet",
                *arguments,
            ],
            {},
        )
    ]


def tensorflow(arguments, folder):
    workers = [f"127.0.0.1:{port()}" for _ in range(2)]
    return [
        (
            [SCRIPT, *arguments],
            {
                "TF_CONFIG": json.dumps(
                    {"cluster": {"worker": workers}, "task": {"type": "worker", "index": rank}}
                )
            },
        )
        for rank in range(2)
    ]


def mxnet(arguments, folder):
    cluster = {
        "DMLC_PS_ROOT_URI": "127.0.0.1",
        "DMLC_PS_ROOT_PORT": str(port()),
        "DMLC_NUM_WORKER": "2",
        "DMLC_NUM_SERVER": "1",
    }
    serve = [sys.executable, "-c", "import mxnet"]
    parts = [
        ("scheduler", serve),
        ("server", serve),
        ("worker", [SCRIPT, *arguments]),
        ("worker", [SCRIPT, *arguments]),
    ]
    return [(command, {**cluster, "DMLC_ROLE": role}) for role, command in parts]


def paddle(arguments, folder):
    launcher = [
        sys.executable,
        "-m",
        "paddle.distributed.launch",
        "--nproc_per_node",
        "2",
        "--log_dir",
        str(folder / "paddle"),
    ]
    return [([*launcher, SCRIPT, *arguments], {"PADDLE_DISTRI_BACKEND": "gloo"})]


def mindspore(arguments, folder):
    launcher = [
        str(Path(sys.executable).with_name("msrun")),
        "--worker_num",
        "2",
        "--local_worker_num",
        "2",
        "--join",
        "True",
    ]
    return [
        (
            [
                *launcher,
                "--master_port",
                str(port()),
                "--log_dir",
                str(folder / "mindspore"),
                SCRIPT,
                *arguments,
            ],
            {},
        )
    ]


def jax(arguments, folder):
    cluster = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port()}", "JAX_NUM_PROCESSES": "2"}
    return [([SCRIPT, *arguments], {**cluster, "JAX_PROCESS_ID": str(rank)}) for rank in range(2)]


#: For each framework, what starts all parts: a list of (command, environment), for the arguments of
#: the command `googlenet` and a folder for the launcher's own logs.
LAUNCHERS = {
    "torch": torch,
    "tensorflow": tensorflow,
    "mxnet": mxnet,
    "paddle": paddle,
    "mindspore": mindspore,
    "jax": jax,
}
