"""Colour queries: a few learned tokens that see the whole photo and decide which colours are in it.

Kang et al., DDColor: Towards Photo-Realistic Image Colorization via Dual Decoders,
ICCV 2023, in a slim form: one block for each map of the decoder.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ColourQueries(nn.Module):
    """Attend to a decoder's maps with learned tokens, and compare the tokens with the finest map.

    A convolution sees only a neighbourhood, and colours each one separately.  The
    tokens see the whole photo: block after block they attend to one map of the
    decoder, coarse to fine, and to each other.  The product of a token with the
    finest map is a map that shows where the token's colour belongs.

    Args:
        channels: numbers of channels of the maps, coarse to fine.
        count: number of tokens.
        width: number of channels of a token.
        heads: number of attention heads.

    Shapes: maps (B, C, H, W), each twice as fine as the one before → (B, count, H, W) of the finest.
    """

    def __init__(self, channels: Sequence[int], count: int = 24, width: int = 96, heads: int = 4):
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(count, width))
        self.blocks = nn.ModuleList(QueryBlock(c, width, heads) for c in channels)
        self.norm = nn.LayerNorm(width)
        self.finest = nn.Conv2d(channels[-1], width, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        tokens = self.tokens.expand(len(maps[0]), -1, -1)
        for level, (block, x) in enumerate(zip(self.blocks, maps, strict=True)):
            # All maps are read at the resolution of the coarsest: the choice of colours needs no detail.
            x = F.avg_pool2d(x, 2**level) if level else x
            tokens = block(tokens, x.flatten(2).transpose(1, 2))
        tokens = self.norm(tokens) / tokens.shape[-1] ** 0.5
        places = self.finest(maps[-1])
        return (tokens @ places.flatten(2)).unflatten(2, places.shape[2:])


class QueryBlock(nn.Module):
    """Cross-attention to the places of a map, self-attention among the tokens, and a small network for each token.

    Args:
        channels: number of channels of the map.
        width: number of channels of a token.
        heads: number of attention heads.

    Shapes: tokens (B, N, width), places (B, M, channels) → tokens (B, N, width).
    """

    def __init__(self, channels: int, width: int, heads: int):
        super().__init__()
        self.places = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.to_places = nn.MultiheadAttention(width, heads, batch_first=True)
        self.to_tokens = nn.MultiheadAttention(width, heads, batch_first=True)
        self.each = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, tokens: Tensor, places: Tensor) -> Tensor:
        places = self.places(places)
        tokens = tokens + self.to_places(self.norms[0](tokens), places, places, need_weights=False)[0]
        among = self.norms[1](tokens)
        tokens = tokens + self.to_tokens(among, among, among, need_weights=False)[0]
        return tokens + self.each(self.norms[2](tokens))
