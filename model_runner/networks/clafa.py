# SPDX-License-Identifier: GPL-2.0-or-later
"""CLAFA (Wang et al., TCSVT 2024) on LWGANet: what changed between two images of a place.

Top-down: the network; the pyramid of each date, in which coarse maps modulate finer ones; the fusion of the dates'
differences; the head that restores the resolution. The attributes have the names of the official weights, among them
a few that the network does not use. Where the official code works on square maps only, the definitions here hold for
any.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model_runner.networks.deformable import TAPS, DeformableAttention, modulated_deformable_conv
from model_runner.networks.fusing import FusableSequence, fold_into_previous
from model_runner.networks.lwganet import Backbone
from model_runner.networks.maps import resize

CHANNELS = 128  # of all maps behind the backbone
DEFORMABLE_GROUPS = 4
GATE_GRID, GATE_CODE, GATE_GROUP = 9, 5, 16  # cells of a map's summary, numbers that encode it, channels that share
FILTER_SIDE, FILTER_DILATION = 5, 2
DROPOUT = 0.1


class ChangeLogits(NamedTuple):
    """What training needs, logits (n, 2, h, w), unchanged first: the result, and those of three coarser maps."""

    main: Tensor
    p3: Tensor
    p4: Tensor
    p5: Tensor


class CLAFA(nn.Module):
    """The network: normalised images (n, bands, h, w) of two dates to logits (n, 2, h, w), unchanged first.

    In training it gives ``ChangeLogits``. Height and width are multiples of 32, at least 96.

    Args:
        size: of the backbone, "l0", "l1" or "l2".
        in_channels: bands of an image.
        drop_path: see ``Backbone``.
    """

    def __init__(self, size: str, in_channels: int = 3, drop_path: float = 0.0) -> None:
        super().__init__()
        self.backbone = Backbone(size, in_channels, drop_path)
        self.fpn = ModulatedPyramid(self.backbone.channels)
        self.p5_to_p4 = DifferenceFusion(4)
        self.p4_to_p3 = DifferenceFusion(8)
        self.p3_to_p2 = DifferenceFusion(16)
        self.p5_head = nn.Conv2d(CHANNELS, 2, 1)
        self.p4_head = nn.Conv2d(CHANNELS, 2, 1)
        self.p3_head = nn.Conv2d(CHANNELS, 2, 1)
        self.p2_head = _unused(nn.Conv2d(CHANNELS, 2, 1))
        self.project = _unused(
            nn.Sequential(nn.Conv2d(4 * CHANNELS, CHANNELS, 1, bias=False), nn.BatchNorm2d(CHANNELS))
        )
        self.head = UpsamplingHead()

    def forward(self, before: Tensor, after: Tensor) -> Tensor | ChangeLogits:
        """See the class."""
        f2, f3, f4, f5 = self.fuse_differences(self.fpn(self.backbone(before)), self.fpn(self.backbone(after)))
        logits = self.head(f2)
        if not self.training:
            return logits
        sides = (self.p3_head(f3), self.p4_head(f4), self.p5_head(f5))
        return ChangeLogits(logits, *(resize(each, before.shape[-2:]) for each in sides))

    def fuse_differences(self, first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Pyramids of both dates to four maps (n, c, h/4 … h/32, w/4 … w/32) of what differs, finest first."""
        d2, d3, d4, d5 = ((one - other).abs() for one, other in zip(first, second, strict=True))
        f4 = self.p5_to_p4(d5, d4)
        f3 = self.p4_to_p3(f4, d3)
        return self.p3_to_p2(f3, d2), f3, f4, d5


class ModulatedPyramid(nn.Module):
    """Four maps of one date, finest first, to four of equal width; each coarser one scales and shifts the finer."""

    def __init__(self, in_channels: tuple[int, ...]) -> None:
        super().__init__()
        self.p2, self.p3, self.p4, self.p5 = (DeformableConv(each, CHANNELS) for each in in_channels)
        self.p5_bn = nn.BatchNorm2d(CHANNELS)
        self.p4_bn, self.p3_bn, self.p2_bn = (nn.BatchNorm2d(CHANNELS, affine=False) for _ in range(3))
        self.p4_Gamma, self.p4_beta = ChannelScale(), ContextGatedShift()
        self.p3_Gamma, self.p3_beta = ChannelScale(), ContextGatedShift()
        self.p2_Gamma, self.p2_beta = ChannelScale(), ContextGatedShift()
        self.p5_smooth, self.p4_smooth, self.p3_smooth, self.p2_smooth = (
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) for _ in range(4)
        )

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """See the class."""
        c2, c3, c4, c5 = maps
        p5 = F.relu(self.p5_bn(self.p5(c5)))
        p4 = _modulate(self.p4_bn(self.p4(c4)), p5, self.p4_Gamma, self.p4_beta)
        p3 = _modulate(self.p3_bn(self.p3(c3)), p4, self.p3_Gamma, self.p3_beta)
        p2 = _modulate(self.p2_bn(self.p2(c2)), p3, self.p2_Gamma, self.p2_beta)
        return self.p2_smooth(p2), self.p3_smooth(p3), self.p4_smooth(p4), self.p5_smooth(p5)

    def fuse(self) -> None:
        """Fold the normalisations into the convolutions before them."""
        for scale in range(2, 6):
            convolution, norm = self.get_submodule(f"p{scale}"), self.get_submodule(f"p{scale}_bn")
            self.add_module(f"p{scale}", fold_into_previous(convolution, norm))
            self.add_module(f"p{scale}_bn", nn.Identity())


class DeformableConv(nn.Module):
    """A deformable 3 x 3 convolution that chooses its places by surroundings of 1, 3 and 5 pixels."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        choices = 3 * TAPS * DEFORMABLE_GROUPS
        plain = nn.Conv2d(in_channels, channels, 3)
        self.weight, self.bias = plain.weight, plain.bias
        self.conv_offset = _unused(nn.Conv2d(in_channels, choices, 3))
        self.pyconv_levels = nn.ModuleList(
            FusableSequence(
                nn.Conv2d(in_channels, choices, side, padding=side // 2, groups=groups, bias=False),
                nn.BatchNorm2d(choices),
                nn.ReLU(),
            )
            for side, groups in ((1, 1), (3, 2), (5, 4))
        )
        self.offset = nn.Conv2d(3 * choices, choices, 1)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, h, w) to (n, c, h, w)."""
        chosen = self.offset(torch.cat([level(x) for level in self.pyconv_levels], 1))
        offsets, mask = chosen.split(2 * TAPS * DEFORMABLE_GROUPS, 1)
        return modulated_deformable_conv(x, offsets, mask.sigmoid(), self.weight, self.bias)


class ChannelScale(nn.Module):
    """By how much each channel is scaled."""

    def __init__(self) -> None:
        super().__init__()
        inner = CHANNELS // 4
        self.fc = nn.Sequential(
            nn.Conv2d(CHANNELS, inner, 1, bias=False), nn.ReLU(), nn.Conv2d(inner, CHANNELS, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c, 1, 1), from 0 to 1."""
        return self.fc(x.mean((2, 3), keepdim=True)).sigmoid()


class ContextGatedShift(nn.Module):
    """What is added to each pixel: two convolutions, the second with a kernel that depends on the whole map."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.ReLU())
        self.conv = ContextGatedConv()

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same."""
        return self.conv(self.stem(x))


class ContextGatedConv(nn.Module):
    """A 3 x 3 convolution whose kernel is weighted by a summary of the map (Lin et al., ECCV 2020)."""

    def __init__(self) -> None:
        super().__init__()
        plain = nn.Conv2d(CHANNELS, CHANNELS, 3)
        self.weight, self.bias = plain.weight, plain.bias.requires_grad_(False)  # the bias is not used
        self.ce = nn.Linear(GATE_GRID, GATE_CODE, bias=False)
        self.ce_bn = nn.BatchNorm1d(CHANNELS)
        self.ci_bn2 = nn.BatchNorm1d(CHANNELS)
        self.ci = nn.Linear(GATE_GROUP, GATE_GROUP, bias=False)
        self.ci_bn = nn.BatchNorm1d(CHANNELS)
        self.gd = nn.Linear(GATE_CODE, TAPS, bias=False)
        self.gd2 = nn.Linear(GATE_CODE, TAPS, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same."""
        count, channels, height, width = x.shape
        kernels = self.weight * self.gate(x).view(count, channels, channels, 3, 3)
        convolved = F.conv2d(x.reshape(1, -1, height, width), kernels.flatten(0, 1), padding=1, groups=count)
        return convolved.view(count, channels, height, width)

    def gate(self, x: Tensor) -> Tensor:
        """The weights of the kernel for each image, (n, c, c, 9): by output channel, input channel and tap."""
        pooled = F.adaptive_avg_pool2d(x.cpu() if x.device.type == "mps" else x, 3).to(x)  # Apple GPUs want thirds
        code = self.ce(pooled.flatten(2))
        inputs = self.gd(F.relu(self.ce_bn(code)))
        grouped = F.relu(self.ci_bn2(code)).unflatten(1, (-1, GATE_GROUP)).transpose(2, 3)
        mixed = self.ci(grouped).transpose(2, 3).flatten(1, 2)
        outputs = self.gd2(F.relu(self.ci_bn(mixed)))
        return (inputs[:, None] + outputs[:, :, None]).sigmoid()


class DifferenceFusion(nn.Module):
    """A coarse map attends to the next finer one, is filtered as the finer one says, and joins it."""

    def __init__(self, points: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(CHANNELS)
        self.norm2 = nn.LayerNorm(CHANNELS)
        self.pos = PositionalEncoding()
        self.crossattn = DeformableAttention(CHANNELS, points)
        self.convs = nn.ModuleList([ConvNormActivation(CHANNELS, CHANNELS)])
        self.enc = ConvNormActivation(CHANNELS, FILTER_SIDE**2)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(n, c, h, w) and (n, c, 2h, 2w) to (n, c, 2h, 2w)."""
        height, width = coarse.shape[-2:]
        query = self.norm1(coarse.flatten(2).transpose(1, 2))
        value = self.norm2(fine.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        row = (torch.arange(height, device=query.device, dtype=query.dtype) + 0.5) / height
        column = (torch.arange(width, device=query.device, dtype=query.dtype) + 0.5) / width
        reference = torch.stack((column.repeat(height), row.repeat_interleave(width)), 1)
        attended = self.crossattn(query, self.pos(height * width), reference, value)
        attended = attended.transpose(1, 2).reshape(coarse.shape)
        filters = self.enc(self.convs[0](fine)).softmax(1)
        return _filter(F.interpolate(attended, fine.shape[-2:], mode="nearest"), filters) + fine


class PositionalEncoding(nn.Module):
    """Sines and cosines of the place in a sequence, scaled by a learnt factor."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("inv_freq", 1 / 10000 ** (torch.arange(0, CHANNELS, 2).float() / CHANNELS))

    def forward(self, length: int) -> Tensor:
        """(length, c)."""
        angles = torch.arange(length, device=self.inv_freq.device)[:, None] * self.inv_freq
        return self.scale * torch.cat((angles.sin(), angles.cos()), 1)


class ConvNormActivation(nn.Module):
    """A 3 x 3 convolution, its normalisation and a ReLU under the name ``block``, as the official weights have it."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.block = FusableSequence(
            nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, h, w) to (n, channels, h, w)."""
        return self.block(x)


class UpsamplingHead(nn.Module):
    """(n, c, h, w) to logits (n, 2, 4h, 4w)."""

    def __init__(self) -> None:
        super().__init__()
        half, quarter = CHANNELS // 2, CHANNELS // 4
        self.up = nn.Sequential(Upsampling(CHANNELS, half), Upsampling(half, quarter))
        self.smooth = nn.Sequential(nn.Conv2d(quarter, quarter, 3, padding=1), nn.ReLU(), nn.Dropout2d(DROPOUT))
        self.final = nn.Conv2d(quarter, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.final(self.smooth(self.up(x)))


class Upsampling(nn.Module):
    """Twice the resolution, by interpolation and what a gated branch adds."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.residual_up = FusableSequence(
            nn.ConvTranspose2d(in_channels, in_channels, 3, 2, 1, output_padding=1, bias=False),
            nn.BatchNorm2d(in_channels),
            nn.ReLU(),
        )
        self.gate = GatedConv(in_channels, channels)
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False), nn.Conv2d(in_channels, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, h, w) to (n, channels, 2h, 2w)."""
        return F.relu(self.up(x) + self.gate(self.residual_up(x)))


class GatedConv(nn.Module):
    """A 3 x 3 convolution weighted by another."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.mask_conv2d = nn.Conv2d(in_channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, h, w) to (n, channels, h, w)."""
        return self.conv2d(x) * self.mask_conv2d(x).sigmoid()


def _modulate(fine: Tensor, coarse: Tensor, scale: ChannelScale, shift: ContextGatedShift) -> Tensor:
    context = resize(coarse, fine.shape[-2:])
    return F.relu(fine * (1 + scale(context)) + shift(context))


def _filter(x: Tensor, filters: Tensor) -> Tensor:
    """Each pixel of a map (n, c, h, w) becomes a sum of those around it with its own weights (n, 25, h, w)."""
    height, width = x.shape[-2:]
    padded = F.pad(x, [FILTER_DILATION * (FILTER_SIDE // 2)] * 4)
    total = torch.zeros_like(x)
    for tap, weights in enumerate(filters.split(1, 1)):
        row, column = (FILTER_DILATION * each for each in divmod(tap, FILTER_SIDE))
        total = total.addcmul(weights, padded[..., row : row + height, column : column + width])
    return total


def _unused(module: nn.Module) -> nn.Module:
    """A part that only the official weights know of."""
    return module.requires_grad_(False)
