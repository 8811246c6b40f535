"""Any size in, the same size out, for networks that halve their input several times."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor


def run_padded(network: Callable[[Tensor], Tensor], x: Tensor, multiple: int) -> Tensor:
    """Pad x (B, C, H, W) on the right and below to a multiple of `multiple`, run, and cut back.

    The edge pixels are repeated, so that there is no black border.
    """
    height, width = x.shape[-2:]
    pad_h, pad_w = -height % multiple, -width % multiple
    if pad_h or pad_w:
        x = F.pad(x, (0, pad_w, 0, pad_h), mode="replicate")
    return network(x)[..., :height, :width]
