"""TensorFlow and Keras."""

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from zoo_models import draw, random_images

from tests.core.formats.writers import write_tensorflow_js

from .folder import book, installed, of_library, own


def make(folder):
    module, _, base = of_library(folder, "keras:inception_v3")
    ours, keras = "keras:inception_v3", installed("keras")
    images = folder.images(base)
    for file, save in (
        ("net.weights.h5", module.save_weights),
        ("net.keras", module.save),
        ("net.h5", module.save),
    ):
        save(str(folder.path / file))
        folder.add("its own file", file, keras, base, ours)
    folder.add("without --from", "net.keras", keras, base, None)
    tf.train.Checkpoint(model=module).write(str(folder.path / "v2"))
    folder.add("checkpoint, version 2", "v2", "tf.train.Checkpoint", base, ours)
    first, arrays = tf.compat.v1, {each.path: each.numpy() for each in module.weights}
    with tf.Graph().as_default():
        held = [first.get_variable(name, initializer=array) for name, array in arrays.items()]
        with first.Session() as session:
            session.run(first.variables_initializer(held))
            for kind, file in ((1, "v1.ckpt"), (2, "saver")):
                saver = first.train.Saver(held, write_version=kind)
                saver.save(session, str(folder.path / file), write_meta_graph=kind == 2)
                writer = "tf.compat.v1.train.Saver"
                folder.add(f"checkpoint, version {kind}", file, writer, base, ours)
    folder.add("a meta graph", "saver.meta", "tf.compat.v1.train.Saver", base, refused="meta")
    tf.saved_model.save(module, str(folder.path / "saved"))
    folder.add("SavedModel", "saved", "tf.saved_model.save", base, ours)
    module.export(str(folder.path / "export"), verbose=False)
    folder.add("SavedModel", "export", f"{keras}, export", base, ours)
    spec = [tf.TensorSpec([None, *images.shape[2:], 3], tf.float32, name="x")]
    function = tf.function(lambda x: module(x, training=False), input_signature=spec)
    frozen = convert_variables_to_constants_v2(function.get_concrete_function())
    (folder.path / "frozen.pb").write_bytes(frozen.graph.as_graph_def().SerializeToString())
    folder.add("frozen graph", "frozen.pb", "tensorflow", base, refused="frozen")
    with folder.optional("tf2onnx"):
        import tf2onnx

        path = str(folder.path / "tf2onnx.onnx")
        tf2onnx.convert.from_function(function, input_signature=spec, output_path=path)
        folder.add("ONNX", "tf2onnx.onnx", installed("tf2onnx"), base)
        module.export(str(folder.path / "keras.onnx"), format="onnx", verbose=False)
        folder.add("ONNX", "keras.onnx", f"{keras}, export", base)
    layers_model(folder, module, base)
    with folder.optional("tf_keras"):
        keras2(folder)
    second, _, base = of_library(folder, "keras:inception_resnet_v2")
    second.save_weights(str(folder.path / "resnet.weights.h5"))
    folder.add("its own file", "resnet.weights.h5", keras, base, "keras:inception_resnet_v2")

    own(folder, "tensorflow", ".weights.h5", keras)
    book(folder, "tensorflow", ".weights.h5", keras, "d2l_tensorflow:googlenet_padded")


def layers_model(folder, module, base):
    """A layers model, whose library does not install beside a current TensorFlow."""
    arrays = {each.path: each.numpy() for each in module.weights}
    model, shards = write_tensorflow_js(arrays)
    place = folder.path / "js"
    place.mkdir()
    (place / "model.json").write_bytes(model)
    for name, content in shards.items():
        (place / name).write_bytes(content)
    folder.add("TensorFlow.js", "js/model.json", "our writer", base, "keras:inception_v3")


def keras2(folder):
    """Keras 2, which names no layers in two of its three formats."""
    import tf_keras

    module = tf_keras.applications.InceptionV3(weights=None, classifier_activation=None)
    rng = np.random.default_rng(0)
    for each in module.weights:
        shape = tuple(each.shape)
        fans = int(np.prod(shape[:-1])) if len(shape) > 1 else None
        each.assign(draw(each.name.removesuffix(":0").replace("/", "."), shape, fans, rng))
    images = random_images(299, 299, rng)
    logits = np.asarray(module(images.transpose(0, 2, 3, 1), training=False))
    base = folder.base("keras2", images, logits)
    for file in ("two.weights.h5", "two.keras", "two.h5"):
        (module.save_weights if "weights" in file else module.save)(str(folder.path / file))
        folder.add("its own file", file, installed("tf_keras"), base, "keras:inception_v3")
