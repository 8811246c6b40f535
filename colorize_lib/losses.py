"""The colour error, and the GAN losses with their labels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GAN_MODES = ("vanilla", "lsgan", "hinge")


def colour_loss(predicted: Tensor, true: Tensor, vivid: float = 0.0) -> Tensor:
    """L1 in ab; with `vivid`, an error counts the more, the stronger the true colour is.

    Most pixels of most photos are nearly grey, so plain L1 learns to be careful.  Zhang et al.
    (ECCV 2016) weigh rare colours more in their classification; strong colours are the rare
    ones, so here the weight is 1 + vivid · C / mean(C), with the chroma C = |(a*, b*)|, scaled to a mean of 1.

    Args:
        predicted, true: normalised ab, (B, 2, H, W).
        vivid: how much more; 0 is plain L1.

    Returns:
        The loss, a float32 scalar.
    """
    error = (predicted.float() - true).abs()
    if not vivid:
        return error.mean()
    chroma = true.norm(dim=1, keepdim=True)
    weight = 1 + vivid * chroma / chroma.mean().clamp(min=1e-3)
    return (error * weight).mean() / weight.mean()


class GANLoss(nn.Module):
    """The losses of the discriminator and of the generator, from the discriminator's logits.

    Args:
        mode: kind of loss.  `vanilla`: binary cross-entropy (Goodfellow et al., 2014), with
            the non-saturating generator loss that pix2pix uses; `lsgan`: least squares
            (Mao et al., 2017); `hinge` (Lim & Ye, 2017; Miyato et al., 2018).
        real_label: target of the discriminator for real photos; 0.9 is one-sided
            label smoothing (Salimans et al., 2016).  The hinge loss has no labels.
        fake_label: target of the discriminator for generated photos.

    Raises:
        ValueError: for an unknown mode.
    """

    def __init__(self, mode: str = "vanilla", real_label: float = 1.0, fake_label: float = 0.0):
        super().__init__()
        if mode not in GAN_MODES:
            raise ValueError(f"no GAN loss is called '{mode}': choose from {', '.join(GAN_MODES)}")
        self.mode, self.real_label, self.fake_label = mode, real_label, fake_label

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's loss: the mean of its losses on real and on generated photos.

        Args:
            real: logits for real photos, of any shape.
            fake: logits for generated photos, of any shape.
        """
        if self.mode == "hinge":
            return (F.relu(1 - real.float()).mean() + F.relu(1 + fake.float()).mean()) / 2
        return (self._to_label(real, self.real_label) + self._to_label(fake, self.fake_label)) / 2

    def generator(self, fake: Tensor) -> Tensor:
        """The generator's loss: it is small if the discriminator takes the photos for real.

        The target is 1, also with smoothed labels.

        Args:
            fake: logits for generated photos, of any shape.
        """
        return -fake.float().mean() if self.mode == "hinge" else self._to_label(fake, 1.0)

    def _to_label(self, logits: Tensor, label: float) -> Tensor:
        target = torch.full_like(logits, label, dtype=torch.float32)
        loss = F.binary_cross_entropy_with_logits if self.mode == "vanilla" else F.mse_loss
        return loss(logits.float(), target)
