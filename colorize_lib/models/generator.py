"""The base class of generators: from a part of a batch to something that becomes ab.

Most generators are given L and return ab, and need neither method here.  One that
predicts classes of colours, or that is given hints, overrides them; the training,
the metrics, the sample pictures and `Colorizer` call them.
"""

import math
from collections.abc import Iterator, Mapping

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class Generator(nn.Module):
    """The base class of the generators.

    Attributes:
        config: name and options with which `build_generator` builds the network again; a checkpoint stores it.
        multiple: number of which both sides are multiples where the network itself runs; `forward` pads to it.
    """

    config: dict
    multiple: int = 32
    _chroma: float = 1.0

    @property
    def chroma(self) -> float:
        """Factor for the colours, 0 or more, which suits the weights: they come with it, and are saved with it.

        It is part of what is painted, measured and exported, and no part of `forward`.  `fit` sets it to 1, since
        it suited the former weights.
        """
        return self._chroma

    @chroma.setter
    def chroma(self, factor: float) -> None:
        if not 0 <= float(factor) < math.inf:
            raise ValueError(f"a chroma of {factor} is no factor for colours: take 0 or more")
        self._chroma = float(factor)

    def forward_padded(self, padded: Tensor) -> Tensor:
        """`forward` where nothing is to be padded or cut back: `export` traces it.

        Args:
            padded: input whose sides are multiples of `multiple`.

        Raises:
            NotImplementedError: for a generator that has no such method.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward_padded")

    def inputs(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The input of `forward`, out of a batch {"L": (B, 1, H, W), …}: here L."""
        return batch["L"]

    def to_ab(self, output: Tensor) -> Tensor:
        """The output of `forward` → normalised ab, (B, 2, H, W), without the factor `chroma`: here the same."""
        return output


def predict_ab(generator: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """The normalised ab that a generator predicts for a batch, (B, 2, H, W)."""
    return ab_of(generator, generator(inputs_of(generator, batch)))


def inputs_of(generator: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """A generator's input, out of a batch; the input of a module that is no `Generator` is L."""
    plain = unwrapped(generator)
    return plain.inputs(batch) if isinstance(plain, Generator) else batch["L"]


def ab_of(generator: nn.Module, output: Tensor) -> Tensor:
    """The ab in a generator's output, its `chroma` included; a module that is no `Generator` gives ab itself."""
    plain = unwrapped(generator)
    if not isinstance(plain, Generator):
        return output
    ab = plain.to_ab(output)
    return ab if plain.chroma == 1 else ab * plain.chroma


def unwrapped(network: nn.Module) -> nn.Module:
    """A network without its wrappers: those of torch.compile, of several devices or processes, of averaged weights."""
    *_, plain = with_wrappers(network)
    return plain


def with_wrappers(network: nn.Module) -> Iterator[nn.Module]:
    """A network's wrappers, the outermost first, and at last the network itself."""
    yield network
    inner = network._modules.get("_orig_mod")  # torch.compile's; its class has no public name
    if isinstance(network, (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)):
        inner = network.module
    if inner is not None:
        yield from with_wrappers(inner)
