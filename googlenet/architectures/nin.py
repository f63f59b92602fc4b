"""Network in Network as *Dive into Deep Learning* builds it: section 8.3; arXiv:1312.4400."""

from ..spec.blocks import conv, dropout, max_pool, sequential
from ..spec.layers import GlobalAvgPool, Layer, Network, Shape


def nin(*, num_classes: int = 10, input_shape: Shape = (1, 224, 224)) -> Network:
    """(C, H, W) images to (num_classes,) logits without any dense layer; 1,992,166 parameters for
    10 classes and 1 channel.

    Raises `SpecError` if num_classes or input_shape is not positive.
    """

    def block(channels: int, kernel_size: int, stride: int, padding: int) -> dict[str, Layer]:
        """A convolution, then two 1×1 convolutions, which act as dense layers at every pixel."""
        return {
            "conv": conv(channels, kernel_size, stride, padding),
            "first_1x1": conv(channels, 1),
            "second_1x1": conv(channels, 1),
        }

    layers = sequential(
        b1=sequential(**block(96, 11, 4, 0), pool=max_pool(3, stride=2)),
        b2=sequential(**block(256, 5, 1, 2), pool=max_pool(3, stride=2)),
        b3=sequential(**block(384, 3, 1, 1), pool=max_pool(3, stride=2), **dropout(0.5)),
        b4=sequential(**block(num_classes, 3, 1, 1), pool=GlobalAvgPool()),
    )
    return Network(
        "nin", layers, input_shape, "Dive into Deep Learning, section 8.3; arXiv:1312.4400"
    )
