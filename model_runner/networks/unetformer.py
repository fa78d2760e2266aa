# SPDX-License-Identifier: GPL-2.0-or-later
"""UNetFormer (Wang et al., ISPRS Journal 2022) on LWGANet: a class for every pixel.

Top-down: the network; the decoder that climbs from the coarsest map to the finest; its blocks of attention within
windows; the joints with the backbone's maps. The attributes have the names of the official weights. Where the
official code works on widths that are multiples of 256 only, the definitions here hold for any multiple of 32.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model_runner.networks.fusing import FusableSequence, fold_into_next
from model_runner.networks.lwganet import Backbone
from model_runner.networks.maps import enlarge, resize

DROP_PATHS = {"l0": 0.0, "l1": 0.1, "l2": 0.1}  # as published
CHANNELS = 64  # of all maps in the decoder
HEADS = 8
WINDOW = 8  # pixels of a map
DROPOUT = 0.1


class SegmentationLogits(NamedTuple):
    """What training needs: logits (n, classes, h, w), and those of the head that helps in training only."""

    main: Tensor
    auxiliary: Tensor


class UNetFormer(nn.Module):
    """The network: normalised images (n, bands, h, w) to logits (n, classes, h, w), in training ``SegmentationLogits``.

    Height and width are multiples of 32, at least 96.

    Args:
        size: of the backbone, "l0", "l1" or "l2".
        num_classes: classes of pixels.
        in_channels: bands of the image.
        drop_path: see ``Backbone``; None takes the published rate.
        oversampling: how many times finer than the images the network looks at them. Its maps are at stride 4, too
            coarse for what is a pixel or two wide, such as a shore that has moved. 1 is the published network.
    """

    def __init__(
        self,
        size: str,
        num_classes: int,
        in_channels: int = 3,
        drop_path: float | None = None,
        oversampling: int = 1,
    ) -> None:
        super().__init__()
        self.oversampling = oversampling
        self.backbone = Backbone(size, in_channels, DROP_PATHS[size] if drop_path is None else drop_path)
        self.decoder = Decoder(self.backbone.channels, num_classes)

    def forward(self, images: Tensor) -> Tensor | SegmentationLogits:
        """See the class."""
        return self.decoder(self.backbone(enlarge(images, self.oversampling)), images.shape[-2:])

    def fuse(self) -> None:
        """Fold the backbone's last normalisations into the decoder."""
        decoder = self.decoder
        joints = (decoder.p1.pre_conv, decoder.p2.pre_conv, decoder.p3.pre_conv, decoder.pre_conv)
        for level, layers in enumerate(joints):
            layers[0] = fold_into_next(getattr(self.backbone, f"norm{2 * level}"), layers[0], 0)
            setattr(self.backbone, f"norm{2 * level}", nn.Identity())


class Decoder(nn.Module):
    """Four maps at strides 4 to 32, finest first, to logits (n, classes, h, w), in training ``SegmentationLogits``."""

    def __init__(self, in_channels: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.pre_conv = _conv_norm(in_channels[3], CHANNELS, 1)
        self.b4 = Block(CHANNELS)
        self.b3 = Block(CHANNELS)
        self.p3 = Fusion(in_channels[2], CHANNELS)
        self.b2 = Block(CHANNELS)
        self.p2 = Fusion(in_channels[1], CHANNELS)
        self.aux_head = AuxiliaryHead(CHANNELS, num_classes)
        self.p1 = Refinement(in_channels[0], CHANNELS)
        self.segmentation_head = nn.Sequential(
            _conv_norm_activation(CHANNELS, CHANNELS), nn.Dropout2d(DROPOUT), _conv(CHANNELS, num_classes)
        )

    def forward(self, maps: tuple[Tensor, ...], size: tuple[int, int]) -> Tensor | SegmentationLogits:
        """See the class; ``size`` is height and width of the image."""
        finest, fine, coarse, coarsest = maps
        x4 = self.b4(self.pre_conv(coarsest))
        x3 = self.b3(self.p3(x4, coarse))
        x2 = self.b2(self.p2(x3, fine))
        # plane by plane: with few channels that is faster
        logits = resize(self.segmentation_head(self.p1(x2, finest)).contiguous(), size)
        if not self.training:
            return logits
        joined = sum(F.interpolate(x, x2.shape[-2:], mode="bilinear", align_corners=True) for x in (x4, x3, x2))
        return SegmentationLogits(logits, resize(self.aux_head(joined), size))


class Block(nn.Module):
    """Attention, then two layers pixel by pixel; the input passes around both."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.attn = GlobalLocalAttention(channels)
        self.mlp = PixelLayers(channels)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))

    def fuse(self) -> None:
        """Fold the second normalisation into the layer that follows; the first meets a padding of zeros."""
        self.mlp.fc1, self.norm2 = fold_into_next(self.norm2, self.mlp.fc1, 0), nn.Identity()


class PixelLayers(nn.Module):
    """Pixel by pixel to four times the channels and back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, 4 * channels, 1)
        self.fc2 = nn.Conv2d(4 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same."""
        return self.fc2(F.relu6(self.fc1(x)))


class GlobalLocalAttention(nn.Module):
    """Attention within windows, carried across their borders by means along rows and columns, beside convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, HEADS))
        self.register_buffer("relative_position_index", _relative_position_index())
        self.qkv = _conv(channels, 3 * channels)
        self.local1 = _conv_norm(channels, channels, 3)
        self.local2 = _conv_norm(channels, channels, 1)
        self.proj = FusableSequence(
            nn.Conv2d(channels, channels, WINDOW, padding=WINDOW // 2 - 1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, channels, 1, bias=False),
        )
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same."""
        attended = self.attend(x)
        before = WINDOW // 2 - 1  # of the eight pixels of a mean
        vertical = F.avg_pool2d(F.pad(attended, (0, 0, 0, 1), "reflect"), (WINDOW, 1), 1, (before, 0))
        horizontal = F.avg_pool2d(F.pad(attended, (0, 1, 0, 0), "reflect"), (1, WINDOW), 1, (0, before))
        joined = vertical + horizontal + self.local2(x) + self.local1(x)
        return self.proj(F.pad(joined, (0, 1, 0, 1), "reflect"))

    def attend(self, x: Tensor) -> Tensor:
        """Each pixel attends to those of its window: (n, c, h, w) to the same."""
        height, width = x.shape[-2:]
        qkv = self.qkv(_pad_to_windows(x))
        count, _, rows, columns = qkv.shape
        windows = qkv.view(count, 3, HEADS, -1, rows // WINDOW, WINDOW, columns // WINDOW, WINDOW)
        # parts, images, window rows, window columns, heads, pixel rows, pixel columns, channels
        windows = windows.permute(1, 0, 4, 6, 2, 5, 7, 3)
        query, key, value = windows.reshape(3, -1, HEADS, WINDOW**2, windows.shape[-1])
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias[None].to(query.dtype))
        # channels last: means of such maps take a tenth of the time
        attended = attended.reshape(windows.shape[1:]).permute(0, 1, 4, 2, 5, 3, 6)
        return attended.reshape(count, rows, columns, -1)[:, :height, :width].permute(0, 3, 1, 2)


class Fusion(nn.Module):
    """A map of the backbone joins the coarser map of the decoder, in learnt shares."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(2))
        self.pre_conv = _conv(in_channels, channels)
        self.post_conv = _conv_norm_activation(channels, channels)

    def forward(self, x: Tensor, finer: Tensor) -> Tensor:
        """(n, c, h, w) and (n, in_channels, 2h, 2w) to (n, c, 2h, 2w)."""
        shares = F.relu(self.weights)
        shares = shares / (shares.sum() + 1e-8)
        return self.post_conv(shares[0] * self.pre_conv(finer) + shares[1] * resize(x, finer.shape[-2:]))


class Refinement(Fusion):
    """The last joint: pixels and channels are weighted by what they say."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__(in_channels, channels)
        self.pa = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, groups=channels), nn.Sigmoid())
        self.ca = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            _conv(channels, channels // 16),
            nn.ReLU6(),
            _conv(channels // 16, channels),
            nn.Sigmoid(),
        )
        self.shortcut = _conv_norm(channels, channels, 1)
        self.proj = FusableSequence(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, channels, 1, bias=False),
        )

    def forward(self, x: Tensor, finer: Tensor) -> Tensor:
        """(n, c, h, w) and (n, in_channels, 2h, 2w) to (n, c, 2h, 2w)."""
        x = super().forward(x, finer)
        return F.relu6(self.proj(x * (self.pa(x) + self.ca(x))) + self.shortcut(x))


class AuxiliaryHead(nn.Module):
    """Logits from the coarser maps, for training."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv = _conv_norm_activation(channels, channels)
        self.drop = nn.Dropout(DROPOUT)
        self.conv_out = _conv(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, classes, h, w)."""
        return self.conv_out(self.drop(self.conv(x)))


def _conv(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, channels, 1, bias=False))


def _conv_norm(in_channels: int, channels: int, size: int) -> FusableSequence:
    convolution = nn.Conv2d(in_channels, channels, size, padding=size // 2, bias=False)
    return FusableSequence(convolution, nn.BatchNorm2d(channels))


def _conv_norm_activation(in_channels: int, channels: int) -> FusableSequence:
    return FusableSequence(*_conv_norm(in_channels, channels, 3), nn.ReLU6())


def _pad_to_windows(x: Tensor) -> Tensor:
    """Whole windows at the right and the bottom, by reflection where the map (n, c, h, w) is large enough for it."""
    right, bottom = (-side % WINDOW for side in (x.shape[-1], x.shape[-2]))
    x = F.pad(x, (0, right, 0, 0), "reflect" if right < x.shape[-1] else "replicate")
    return F.pad(x, (0, 0, 0, bottom), "reflect" if bottom < x.shape[-2] else "replicate")


def _relative_position_index() -> Tensor:
    """The row of the table of biases for each query and key of a window, (64, 64)."""
    row, column = torch.meshgrid(torch.arange(WINDOW), torch.arange(WINDOW), indexing="ij")
    row, column = row.flatten(), column.flatten()
    down, right = row[:, None] - row + WINDOW - 1, column[:, None] - column + WINDOW - 1
    return down * (2 * WINDOW - 1) + right
