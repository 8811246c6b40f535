"""Any size in, the same size out, for networks that halve their input several times."""

from collections.abc import Callable

import torch
from torch import Tensor


def run_padded(network: Callable[[Tensor], Tensor], x: Tensor, multiple: int) -> Tensor:
    """Pad x (B, C, H, W) on the right and below to a multiple of `multiple`, run, and cut back.

    The edge pixels are repeated, so that there is no black border.
    """
    height, width = x.shape[-2:]
    # No `if`, and sizes that are plainly multiples: so the network can be exported for every size.
    for dim, size in ((-2, height), (-1, width)):
        padded = (size + multiple - 1) // multiple * multiple
        x = x.index_select(dim, torch.arange(padded, device=x.device).clamp(max=size - 1))
    return network(x)[..., :height, :width]
