"""What a generator is: given something of a batch, it returns something that becomes ab.

Most generators are given L and return ab, and need neither method here.  One that
predicts classes of colours, or that is given hints, says so by overriding them;
the training, the metrics, the sample pictures and `Colorizer` ask.
"""

from collections.abc import Mapping

from torch import Tensor, nn


class Generator(nn.Module):
    """The base class of the generators.

    `config` holds what `build_generator` needs to build the network again; a
    checkpoint stores it.
    """

    config: dict

    def inputs(self, batch: Mapping[str, Tensor]) -> Tensor:
        """What `forward` is given of a batch {"L": (B, 1, H, W), …}: here L."""
        return batch["L"]

    def to_ab(self, output: Tensor) -> Tensor:
        """What `forward` returned → normalised ab, (B, 2, H, W): here the same."""
        return output


def inputs_of(generator: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """What a generator is given of a batch; a module that is no `Generator` is given L."""
    return generator.inputs(batch) if isinstance(generator, Generator) else batch["L"]


def ab_of(generator: nn.Module, output: Tensor) -> Tensor:
    """The ab (B, 2, H, W) in a generator's output; that of a module that is no `Generator` is ab."""
    return generator.to_ab(output) if isinstance(generator, Generator) else output


def predict_ab(generator: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """The ab that a generator predicts for a batch, (B, 2, H, W), float32."""
    return ab_of(generator, generator(inputs_of(generator, batch))).float()
