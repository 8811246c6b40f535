"""A generator that is told some colours: a trained `ChromaUnet`, and a small branch that spreads hints.

Zhang et al. (Real-Time User-Guided Image Colorization with Learned Deep Priors, 2017)
train one large network on both.  Here the guess stays as it is, and the branch learns
how far each hint reaches: as in Levin et al. (Colorization using Optimization, 2004),
but by what the network sees there, and not by equal lightness alone.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .chroma_unet import ChromaUnet, conv_block, use_channels_last
from .generator import Generator
from .padding import run_padded

FARAWAY = -1e4  # a logit that no softmax chooses; finite, so that a photo without hints has gradients, too


class HintUnet(Generator):
    """A `ChromaUnet` and a `HintBranch`: without hints, exactly the former.

    Args:
        trunk: network that guesses.  It gets no gradients: only the branch learns.
        branch: network that spreads hints; None for a new one.

    Shapes: (B, 4, H, W), L in [-1, 1] above the three planes of the hints (see `hint_planes`), or L alone
    (B, 1, H, W) → ab (B, 2, H, W).
    """

    def __init__(self, trunk: ChromaUnet, branch: "HintBranch | None" = None):
        super().__init__()
        self.trunk = trunk
        self.branch = branch or HintBranch(map_channels(trunk))

    def train(self, mode: bool = True) -> "HintUnet":
        """Switch the branch to training or evaluation; the trunk is always in the latter."""
        super().train(mode)
        self.trunk.eval()
        return self

    def inputs(self, batch: Mapping[str, Tensor]) -> Tensor:
        return torch.cat([batch["L"], batch["hints"]], dim=1) if "hints" in batch else batch["L"]

    def forward(self, given: Tensor) -> Tensor:
        return run_padded(self.forward_padded, given, self.multiple)

    def forward_padded(self, padded: Tensor) -> Tensor:
        with torch.no_grad():
            maps = self.trunk.maps(padded[:, :1])
            ab = self.trunk.head(maps[-1]) * self.trunk.chroma
        if padded.shape[1] > 1:
            ab = ab + self.branch(maps, ab, padded[:, 1:])
        return F.interpolate(ab, size=padded.shape[-2:], mode="bilinear", align_corners=False)


def map_channels(trunk: ChromaUnet) -> list[int]:
    """The numbers of channels of `ChromaUnet.maps`."""
    coarsest = trunk.encoder.feature_info.channels()[-1]  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]
    *widths, _ = trunk.config["widths"]
    return [coarsest, *widths, trunk.head.in_channels]


class HintBranch(nn.Module):
    """How hints change a guess: each place looks at all hints, and takes over what it finds.

    A hint says how wrong the guess is at one place: its residual.  A place p takes over

        Σ over heads h of  gain_h(p) · Σ over hints k of  w_h(p, k) · residual_k,

    with attention w: a softmax over the hints and "none of them", of how alike p and k look
    to the network and how far they are apart.  A head with a short reach stays in one thing,
    one with a long reach finds all apples of the photo.  Where no hint is, nothing changes.

    Args:
        channels: numbers of channels of the trunk's maps, at 1/32, 1/16, 1/8 and 1/4 of the resolution.
        width: number of channels of the branch.
        heads: number of attention heads.
        key_width: number of channels in which a head compares.

    Shapes: maps, guess (B, 2, H/4, W/4), hints (B, 3, H, W) → the change of the guess (B, 2, H/4, W/4).
    """

    def __init__(self, channels: list[int], width: int = 64, heads: int = 6, key_width: int = 16):
        super().__init__()
        self.config = {"name": "hint_branch", "channels": list(channels)}
        self.config |= {"width": width, "heads": heads, "key_width": key_width}
        self.heads = heads
        coarsest, *finer = channels
        self.coarsest = nn.Conv2d(coarsest, width, 1)
        planes = 5  # see `forward`
        self.blocks = nn.ModuleList(
            nn.Sequential(conv_block(width + c + planes, width), conv_block(width, width)) for c in finer
        )
        self.places = nn.Conv2d(width, heads * key_width, 1)
        self.hints = nn.Conv2d(width, heads * key_width, 1)
        self.none = nn.Conv2d(width, heads, 1)
        self.reach = nn.Parameter(
            torch.linspace(0, 3, heads).exp() * 4 - 3.9
        )  # from the whole photo to a tenth
        self.gain = nn.Conv2d(width, heads, 1)
        self.shift = nn.Conv2d(width, 2, 1)
        for layer in (self.none, self.gain, self.shift):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
        nn.init.constant_(self.gain.bias, 1 / heads)  # pyright: ignore[reportArgumentType]
        use_channels_last(self)

    def forward(self, maps: list[Tensor], guess: Tensor, hints: Tensor) -> Tensor:
        told, mask = averages(hints[:, :2], hints[:, 2:], 4)
        residual = (told - guess) * mask
        planes = torch.cat([told, residual, mask], dim=1)
        x = self.coarsest(maps[0])
        for block, seen, factor in zip(self.blocks, maps[1:], (4, 2, 1), strict=True):
            x = F.interpolate(x, size=seen.shape[-2:], mode="nearest")
            at_hints = planes if factor == 1 else torch.cat(averages(planes[:, :4], mask, factor), dim=1)
            x = block(torch.cat([x, seen, at_hints.to(x.dtype)], dim=1))
        taken, reached = self.spread(x, residual, mask)  # (B, heads, 2, H/4 · W/4), (B, heads, H/4 · W/4)
        gain, shift = self.gain(x).float(), self.shift(x).float()
        change = (gain.flatten(2)[:, :, None] * taken).sum(dim=1).unflatten(2, guess.shape[2:])
        return change + shift * reached.mean(dim=1, keepdim=True).unflatten(2, guess.shape[2:])

    def spread(self, x: Tensor, residual: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What each place takes over from the hints, and how much it is reached by any."""
        # Hints in one cell of 4 × 4 places are one key: their average, seen where they are.
        place = coordinates(residual)
        keys, there = averages(torch.cat([self.hints(x).float(), residual, place], dim=1), mask, 4)
        keys, residual, at = keys.flatten(2).split([keys.shape[1] - 4, 2, 2], dim=1)
        keys = keys.unflatten(1, (self.heads, -1))  # (B, heads, C, K)
        queries = self.places(x).float().flatten(2).unflatten(1, (self.heads, -1))  # (B, heads, C, P)
        alike = queries.transpose(2, 3) @ keys / keys.shape[2] ** 0.5  # (B, heads, P, K)
        apart = (place.flatten(2)[..., None] - at[:, :, None]).square().sum(dim=1)[:, None]
        logits = alike - F.softplus(self.reach)[:, None, None] * apart
        logits = logits.masked_fill(there.flatten(2)[:, None] == 0, FARAWAY)
        none = self.none(x).float().flatten(2)[..., None]
        weights = torch.cat([logits, none], dim=3).softmax(dim=3)
        taken = weights[..., :-1] @ residual.transpose(1, 2)[:, None]  # (B, heads, P, 2)
        return taken.transpose(2, 3), 1 - weights[..., -1]


def averages(values: Tensor, mask: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The averages of the values under a mask in cells of size × size, and 1 for each cell that has any.

    Shapes: values (B, C, H, W), mask (B, 1, H, W) of 0 and 1 → (B, C, H/size, W/size), (B, 1, H/size, W/size).
    """
    share = F.avg_pool2d(mask, size)
    return F.avg_pool2d(values * mask, size) / share.clamp(min=1e-6), (share > 0).to(values.dtype)


def coordinates(like: Tensor) -> Tensor:
    """The place of each pixel, (B, 2, H, W): y and x in units of the photo's mean side."""
    height, width = like.shape[-2:]
    y, x = torch.arange(height, device=like.device), torch.arange(width, device=like.device)
    place = torch.stack(torch.meshgrid(y, x, indexing="ij")) / (height * width) ** 0.5
    return place.expand(len(like), -1, -1, -1).to(like.dtype)
