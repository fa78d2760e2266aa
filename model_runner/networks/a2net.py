# SPDX-License-Identifier: GPL-2.0-or-later
"""A2Net (Li et al., TGRS 2023) on LWGANet: what changed between two images of a place.

Top-down: the network; the aggregation of neighbouring maps of each date; the fusion of both dates' difference; the
decoder, which climbs from the coarsest map to the finest under the supervision of masks. The attributes have the
names of the official weights.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model_runner.networks.fusing import FusableSequence
from model_runner.networks.lwganet import Backbone
from model_runner.networks.maps import enlarge, resize

DROP_PATHS = {"l0": 0.0, "l1": 0.0, "l2": 0.1}  # as published
CHANNELS = 64  # of all maps behind the backbone
NEIGHBOUR_CHANNELS = 32
SCALES = (2, 3, 4, 5)  # of maps; a map has 1 / 2**scale of the image's resolution
DILATIONS = (7, 5, 3, 1)


class A2Net(nn.Module):
    """The network: normalised images (n, bands, h, w) of two dates to logits of change (n, 1, h, w).

    In training it gives the logits of four masks, finest first; the first one is the result. Height and width are
    multiples of 32, at least 96.

    Args:
        size: of the backbone, "l0", "l1" or "l2".
        in_channels: bands of an image.
        drop_path: see ``Backbone``; None takes the published rate.
        oversampling: how many times finer than the images the network looks at them. Its maps are at stride 4, too
            coarse for what is a pixel or two wide, such as a shore that has moved. 1 is the published network.
    """

    def __init__(self, size: str, in_channels: int = 3, drop_path: float | None = None, oversampling: int = 1) -> None:
        super().__init__()
        self.oversampling = oversampling
        self.backbone = Backbone(size, in_channels, DROP_PATHS[size] if drop_path is None else drop_path)
        self.swa = NeighbourAggregation(self.backbone.channels)
        self.tfm = TemporalFusion()
        self.decoder = Decoder()

    def forward(self, before: Tensor, after: Tensor) -> Tensor | tuple[Tensor, ...]:
        """See the class."""
        first, second = (self.swa(self.backbone(enlarge(each, self.oversampling))) for each in (before, after))
        masks = self.decoder(self.tfm(first, second))
        if not self.training:
            return resize(masks[0], before.shape[-2:])
        return tuple(resize(mask, before.shape[-2:]) for mask in masks)


class NeighbourAggregation(nn.Module):
    """Four maps of one date, finest first, to four of equal width; each takes in what its neighbours know."""

    def __init__(self, in_channels: tuple[int, ...]) -> None:
        super().__init__()
        for scale in SCALES:
            neighbours = _neighbours(scale)
            for source in neighbours:
                self.add_module(
                    f"conv_scale{scale}_c{source}", _neighbour_conv(in_channels[source - 2], source < scale)
                )
            aggregation = Aggregation(in_channels[scale - 2], NEIGHBOUR_CHANNELS * len(neighbours))
            self.add_module(f"conv_aggregation_s{scale}", aggregation)

    def forward(self, maps: tuple[Tensor, ...]) -> list[Tensor]:
        """See the class."""
        aggregated = []
        for scale, own in zip(SCALES, maps, strict=True):
            gathered = []
            for source in _neighbours(scale):
                x = self.get_submodule(f"conv_scale{scale}_c{source}")(maps[source - 2])
                gathered.append(resize(x, own.shape[-2:]) if source > scale else x)
            aggregated.append(self.get_submodule(f"conv_aggregation_s{scale}")(torch.cat(gathered, 1), own))
        return aggregated


class Aggregation(nn.Module):
    """What was gathered from the neighbours, and around it the map itself."""

    def __init__(self, in_channels: int, gathered_channels: int) -> None:
        super().__init__()
        self.conv_fuse = FusableSequence(
            *_conv_norm(gathered_channels, CHANNELS), nn.ReLU(), *_conv_norm(CHANNELS, CHANNELS)
        )
        self.conv_identity = nn.Conv2d(in_channels, CHANNELS, 1)

    def forward(self, gathered: Tensor, own: Tensor) -> Tensor:
        """(n, gathered_channels, h, w) and (n, in_channels, h, w) to (n, c, h, w)."""
        return F.relu(self.conv_fuse(gathered) + self.conv_identity(own))


class TemporalFusion(nn.Module):
    """Four maps of each date to four maps of what differs."""

    def __init__(self) -> None:
        super().__init__()
        for scale in SCALES:
            self.add_module(f"tffm_x{scale}", DifferenceFusion())

    def forward(self, first: list[Tensor], second: list[Tensor]) -> list[Tensor]:
        """See the class."""
        pairs = zip(SCALES, first, second, strict=True)
        return [self.get_submodule(f"tffm_x{scale}")((before - after).abs()) for scale, before, after in pairs]


class DifferenceFusion(nn.Module):
    """The difference seen from afar, then from ever nearer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_branch1 = FusableSequence(*_conv_norm(CHANNELS, CHANNELS, DILATIONS[0]))
        for branch, dilation in enumerate(DILATIONS[1:], 2):
            self.add_module(f"conv_branch{branch}", nn.Conv2d(CHANNELS, CHANNELS, 1))
            self.add_module(f"conv_branch{branch}_f", FusableSequence(*_conv_norm(CHANNELS, CHANNELS, dilation)))
        self.conv_branch5 = nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, difference: Tensor) -> Tensor:
        """(n, c, h, w) to the same."""
        seen = self.conv_branch1(difference)
        for branch in range(2, len(DILATIONS) + 1):
            seen = F.relu(self.get_submodule(f"conv_branch{branch}")(difference) + seen)
            seen = self.get_submodule(f"conv_branch{branch}_f")(seen)
        return F.relu(self.conv_branch5(difference) + seen)


class Decoder(nn.Module):
    """Four maps of what differs, finest first, to the logits (n, 1, h/4 … h/32, w/4 … w/32) of four masks."""

    def __init__(self) -> None:
        super().__init__()
        self.sam_p5 = SupervisedAttention()
        self.sam_p4 = SupervisedAttention()
        self.sam_p3 = SupervisedAttention()
        self.conv_p4 = FusableSequence(*_conv_norm(CHANNELS, CHANNELS), nn.ReLU())
        self.conv_p3 = FusableSequence(*_conv_norm(CHANNELS, CHANNELS), nn.ReLU())
        self.conv_p2 = FusableSequence(*_conv_norm(CHANNELS, CHANNELS), nn.ReLU())
        self.cls = nn.Conv2d(CHANNELS, 1, 1)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, ...]:
        """See the class."""
        d2, d3, d4, d5 = maps
        p5, mask5 = self.sam_p5(d5)
        p4, mask4 = self.sam_p4(self.conv_p4(d4 + resize(p5, d4.shape[-2:])))
        p3, mask3 = self.sam_p3(self.conv_p3(d3 + resize(p4, d3.shape[-2:])))
        p2 = self.conv_p2(d2 + resize(p3, d2.shape[-2:]))
        return self.cls(p2), mask3, mask4, mask5


class SupervisedAttention(nn.Module):
    """A mask of change, and the map weighted by what the mask says of change and of its absence."""

    def __init__(self) -> None:
        super().__init__()
        self.cls = nn.Conv2d(CHANNELS, 1, 1)
        self.conv_context = FusableSequence(nn.Conv2d(2, CHANNELS, 1), nn.BatchNorm2d(CHANNELS), nn.ReLU())
        self.conv2 = FusableSequence(*_conv_norm(CHANNELS, CHANNELS), nn.ReLU())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, c, h, w) to the weighted map (n, c, h, w) and the logits of the mask (n, 1, h, w)."""
        mask = self.cls(x)
        changed = mask.sigmoid()
        return self.conv2(x * self.conv_context(torch.cat((changed, 1 - changed), 1))), mask


def _neighbours(scale: int) -> tuple[int, ...]:
    return tuple(each for each in SCALES if abs(each - scale) <= 1)


def _neighbour_conv(in_channels: int, finer: bool) -> FusableSequence:
    layers = (*_conv_norm(in_channels, NEIGHBOUR_CHANNELS), nn.ReLU())
    return FusableSequence(nn.MaxPool2d(2), *layers) if finer else FusableSequence(*layers)


def _conv_norm(in_channels: int, channels: int, dilation: int = 1) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    convolution = nn.Conv2d(in_channels, channels, 3, padding=dilation, dilation=dilation)
    return convolution, nn.BatchNorm2d(channels)
