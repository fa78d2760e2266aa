# SPDX-License-Identifier: GPL-2.0-or-later
"""LWGANet: a light-weight backbone for remote sensing images (Lu et al., AAAI 2026), and its scene classifier.

Each block splits its channels in four groups, and each group looks at another range: a point (PA), its neighbours
(LA), a medium range along four directions (MRA) and the whole map (GA). The attributes have the names of the
official weights. Where the official code works on square maps only, the definitions here hold for any.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model_runner.networks.fusing import fold_into_next, fold_into_previous
from model_runner.networks.maps import LoneValueNorm

# name: channels of the stem, blocks in each stage, activation
SIZES = {
    "l0": (32, (1, 2, 4, 2), nn.GELU),
    "l1": (64, (1, 2, 4, 2), nn.GELU),
    "l2": (96, (1, 4, 4, 2), nn.ReLU),
}
HEAD_CHANNELS = 4  # of an attention head


class Stem(nn.Module):
    """Patches of 4 x 4 pixels become vectors: (n, bands, h, w) to (n, c, h/4, w/4)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, 4, 4, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.norm(self.proj(x))

    def fuse(self) -> None:
        """Fold the normalisation into the convolution."""
        self.proj, self.norm = fold_into_previous(self.proj, self.norm), nn.Identity()


class PointAttention(nn.Module):
    """Each value is weighted by what its own pixel says."""

    def __init__(self, channels: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.p_conv = _bottleneck(channels, 4 * channels, activation)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same."""
        return x * self.p_conv(x).sigmoid()

    def fuse(self) -> None:
        """Fold the normalisation into the first convolution."""
        _fuse_bottleneck(self.p_conv)


class LocalAttention(nn.Module):
    """A plain 3 x 3 convolution."""

    def __init__(self, channels: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels), activation()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same."""
        return self.conv(x)

    def fuse(self) -> None:
        """Fold the normalisation into the convolution."""
        self.conv[0], self.conv[1] = fold_into_previous(self.conv[0], self.conv[1]), nn.Identity()


class Blur(nn.Module):
    """Binomial 4 x 4 smoothing that keeps every third row and column."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        row = torch.tensor([1.0, 3.0, 3.0, 1.0])
        self.register_buffer("filt", (row[:, None] * row / 64).repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c, ceil(h/3), ceil(w/3))."""
        return F.conv2d(F.pad(x, (1, 2, 1, 2), mode="reflect"), self.filt, stride=3, groups=x.shape[1])


class MediumRangeAttention(nn.Module):
    """Each value is weighted by strips of its surroundings: upright, level and along both diagonals.

    The four depthwise convolutions are sums over taps of one map, so they are computed as a single one with a kernel
    of 13 x 13. The diagonal kernels lean: tap (p, q) of ``H_att2`` looks at row +p, column +q-p, tap (q, p) of
    ``V_att2`` at row +q-p, column +p.
    """

    REACH = 5  # pixels of the reduced map, to either side

    def __init__(self, channels: int) -> None:
        super().__init__()
        length = 2 * self.REACH + 1
        upright, level = (length, 3), (3, length)
        self.max_m2 = Blur(channels)
        self.H_att1 = _depthwise(channels, upright)
        self.V_att1 = _depthwise(channels, level)
        self.H_att2 = _depthwise(channels, upright)
        self.V_att2 = _depthwise(channels, level)
        self.norm = LoneValueNorm(channels)  # of an image of 96 pixels the coarsest map is reduced to one
        self.fused_strips: nn.Conv2d | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same."""
        strips = self.strips(self.max_m2(F.max_pool2d(x, 3, 1, 1)))
        return x * F.interpolate(self.norm(strips).sigmoid(), x.shape[-2:], mode="nearest")

    def strips(self, reduced: Tensor) -> Tensor:
        """The sum of the four strip convolutions of the reduced map."""
        if self.fused_strips is not None:
            return self.fused_strips(reduced)
        return F.conv2d(reduced, self.kernel(), padding=self.REACH + 1, groups=reduced.shape[1])

    def kernel(self) -> Tensor:
        """The four kernels as one, (c, 1, 13, 13)."""
        reach = self.REACH
        centre = reach + 1
        along = torch.arange(-reach, reach + 1, device=self.H_att1.weight.device)[:, None]
        across = torch.arange(-1, 2, device=along.device)[None]
        upright = (along + centre + 0 * across, across + centre + 0 * along)
        leaning = (along + centre + 0 * across, across - along + centre)
        kernel = self.H_att1.weight.new_zeros(self.H_att1.weight.shape[0], 2 * centre + 1, 2 * centre + 1)
        channel = torch.arange(len(kernel), device=along.device)[:, None, None]
        for (row, column), vertical, horizontal in (
            (upright, self.H_att1, self.V_att1),
            (leaning, self.H_att2, self.V_att2),
        ):
            kernel = kernel.index_put((channel, row[None], column[None]), vertical.weight[:, 0], accumulate=True)
            turned = horizontal.weight[:, 0].transpose(1, 2)
            kernel = kernel.index_put((channel, column[None], row[None]), turned, accumulate=True)
        return kernel[:, None]

    def fuse(self) -> None:
        """Keep the single kernel in place of the four, with the normalisation folded in."""
        channels = self.norm.num_features
        whole = _depthwise(channels, (2 * self.REACH + 3,) * 2)
        whole.weight = nn.Parameter(self.kernel().detach(), requires_grad=False)
        self.fused_strips, self.norm = fold_into_previous(whole, self.norm), nn.Identity()
        del self.H_att1, self.V_att1, self.H_att2, self.V_att2


class LargeKernelAttention(nn.Module):
    """The whole map as large convolutions see it: the global part (GA12) of the first two stages."""

    def __init__(self, channels: int, activation: type[nn.Module]) -> None:
        super().__init__()
        half = channels // 2
        self.activation = activation()
        self.proj_1 = nn.Conv2d(channels, channels, 1)
        self.conv0 = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.conv_spatial = nn.Conv2d(channels, channels, 7, padding=9, dilation=3, groups=channels)
        self.conv1 = nn.Conv2d(channels, half, 1)
        self.conv2 = nn.Conv2d(channels, half, 1)
        self.conv_squeeze = nn.Conv2d(2, 2, 7, padding=3)
        self.conv = nn.Conv2d(half, channels, 1)
        self.proj_2 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same."""
        strongest, places = F.max_pool2d(x, 2, return_indices=True)
        value = self.activation(self.proj_1(strongest))
        near = self.conv0(value)
        near, far = self.conv1(near), self.conv2(self.conv_spatial(near))
        both = torch.cat((near, far), 1)
        summary = torch.cat((both.mean(1, keepdim=True), both.amax(1, keepdim=True)), 1)
        near_share, far_share = self.conv_squeeze(summary).sigmoid().split(1, 1)
        gate = self.conv(near * near_share + far * far_share)
        return F.max_unpool2d(self.proj_2(value * gate), places, 2, output_size=x.shape[-2:])


class Attention(nn.Module):
    """Each pixel attends to all pixels of the map; heads of four channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.proj = nn.Linear(channels, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same."""
        count, channels, height, width = x.shape
        tokens = self.qkv(x.flatten(2).transpose(1, 2))
        query, key, value = tokens.unflatten(2, (3, -1, HEAD_CHANNELS)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        # contiguous: normalising a transposed view has had wrong gradients on the CPU
        return self.proj(attended).transpose(1, 2).reshape(count, channels, height, width).contiguous()


class PooledAttention(nn.Module):
    """Attention between the strongest pixels of 2 x 2: the global part (GA3) of the third stage."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.attn = Attention(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same."""
        strongest, places = F.max_pool2d(x, 2, return_indices=True)
        return F.max_unpool2d(self.norm(self.attn(strongest)), places, 2, output_size=x.shape[-2:])

    def fuse(self) -> None:
        """Fold the normalisation into the projection."""
        self.attn.proj, self.norm = fold_into_previous(self.attn.proj, self.norm), nn.Identity()


class Block(nn.Module):
    """Four groups of channels, each with its own range, joined by a bottleneck around which the input passes.

    Args:
        channels: of the map, a multiple of 8.
        stage: 0 to 3; decides the global part.
        activation: of all parts.
        drop_path: share of training images for which the block is passed by.
    """

    def __init__(self, channels: int, stage: int, activation: type[nn.Module], drop_path: float) -> None:
        super().__init__()
        quarter = channels // 4
        self.drop_path = drop_path
        self.mlp = _bottleneck(channels, 2 * channels, activation)
        self.PA = PointAttention(quarter, activation)
        self.LA = LocalAttention(quarter, activation)
        self.MRA = MediumRangeAttention(quarter)
        if stage < 2:
            self.GA12 = LargeKernelAttention(quarter, activation)
        elif stage == 2:
            self.GA3 = PooledAttention(quarter)
        else:
            self.GA4 = Attention(quarter)
        self.norm = nn.Identity() if stage == 2 else nn.BatchNorm2d(quarter)
        self.norm1 = nn.BatchNorm2d(channels)
        self._global_part = ("GA12", "GA12", "GA3", "GA4")[stage]

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same."""
        point, local, medium, whole = x.chunk(4, 1)
        point = point + self.PA(point)
        whole = self.norm(whole + getattr(self, self._global_part)(whole))
        joined = self.mlp(torch.cat((point, self.LA(local), self.MRA(medium), whole), 1))
        return x + self.norm1(_drop_path(joined, self.drop_path if self.training else 0.0))

    def fuse(self) -> None:
        """Fold both normalisations into the bottleneck."""
        _fuse_bottleneck(self.mlp)
        if isinstance(self.norm, nn.BatchNorm2d):
            last_quarter = 3 * self.norm.num_features
            self.mlp[0], self.norm = fold_into_next(self.norm, self.mlp[0], last_quarter), nn.Identity()
        self.mlp[3], self.norm1 = fold_into_previous(self.mlp[3], self.norm1), nn.Identity()


class Stage(nn.Module):
    """Blocks of one resolution."""

    def __init__(self, channels: int, stage: int, activation: type[nn.Module], drop_paths: list[float]) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Block(channels, stage, activation, rate) for rate in drop_paths))

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same."""
        return self.blocks(x)


class Downsampling(nn.Module):
    """Half the resolution, twice the channels, by a strided convolution beside a maximum."""

    def __init__(self, channels: int, activation: type[nn.Module]) -> None:
        super().__init__()
        doubled = 2 * channels
        self.activation = activation()
        self.conv = nn.Conv2d(channels, doubled, 3, padding=1, groups=channels)
        self.conv_c = nn.Conv2d(doubled, doubled, 3, 2, 1, groups=doubled)
        self.norm_c = nn.BatchNorm2d(doubled)
        self.norm_m = nn.BatchNorm2d(doubled)
        self.fusion = nn.Conv2d(2 * doubled, doubled, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, 2c, ceil(h/2), ceil(w/2))."""
        x = self.conv(x)
        convolved = self.norm_c(self.activation(self.conv_c(x)))
        strongest = self.norm_m(F.max_pool2d(x, 3, 2, 1))
        return self.fusion(torch.cat((convolved, strongest), 1))

    def fuse(self) -> None:
        """Fold both normalisations into the convolution that follows."""
        self.fusion = fold_into_next(self.norm_c, self.fusion, 0)
        self.fusion = fold_into_next(self.norm_m, self.fusion, self.norm_c.num_features)
        self.norm_c, self.norm_m = nn.Identity(), nn.Identity()


class LWGANet(nn.Module):
    """Stem and four stages, with three downsamplings in between.

    Args:
        size: "l0", "l1" or "l2".
        in_channels: bands of the image.
        drop_path: share of training images that pass by the last block; it grows linearly from 0 at the first.
    """

    def __init__(self, size: str, in_channels: int, drop_path: float) -> None:
        super().__init__()
        stem, depths, activation = SIZES[size]
        self.channels = tuple(stem * 2**stage for stage in range(4))
        self.Stem = Stem(in_channels, stem)
        rates = iter(torch.linspace(0, drop_path, sum(depths)).tolist())
        parts: list[nn.Module] = []
        for stage, (channels, depth) in enumerate(zip(self.channels, depths, strict=True)):
            parts.append(Stage(channels, stage, activation, [next(rates) for _ in range(depth)]))
            if stage < 3:
                parts.append(Downsampling(channels, activation))
        self.stages = nn.ModuleList(parts)


class Backbone(LWGANet):
    """LWGANet for dense tasks: (n, bands, h, w) to four normalised maps at strides 4, 8, 16 and 32.

    Height and width are multiples of 32, at least 96.
    """

    def __init__(self, size: str, in_channels: int = 3, drop_path: float = 0.0) -> None:
        super().__init__(size, in_channels, drop_path)
        for stage, channels in enumerate(self.channels):
            self.add_module(f"norm{2 * stage}", nn.BatchNorm2d(channels))
        self.apply(initialise)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        x = self.Stem(images)
        maps = []
        for index, part in enumerate(self.stages):
            x = part(x)
            if index % 2 == 0:
                maps.append(getattr(self, f"norm{index}")(x))
        return tuple(maps)


class Classifier(LWGANet):
    """LWGANet for scenes: (n, bands, h, w) to logits (n, classes)."""

    def __init__(self, size: str, num_classes: int, in_channels: int = 3, drop_path: float = 0.0) -> None:
        super().__init__(size, in_channels, drop_path)
        activation = SIZES[size][2]
        self.avgpool_pre_head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(self.channels[-1], 1280, 1, bias=False), activation()
        )
        self.head = nn.Linear(1280, num_classes)
        self.apply(initialise)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        x = self.Stem(images)
        for part in self.stages:
            x = part(x)
        return self.head(self.avgpool_pre_head(x).flatten(1))


def initialise(module: nn.Module) -> None:
    """The published start: weights truncated normal with a standard deviation of 0.02, biases 0."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _depthwise(channels: int, size: tuple[int, int]) -> nn.Conv2d:
    padding = (size[0] // 2, size[1] // 2)
    return nn.Conv2d(channels, channels, size, padding=padding, groups=channels, bias=False)


def _bottleneck(channels: int, inner: int, activation: type[nn.Module]) -> nn.Sequential:
    """Pixel by pixel to ``inner`` channels and back."""
    return nn.Sequential(
        nn.Conv2d(channels, inner, 1, bias=False),
        nn.BatchNorm2d(inner),
        activation(),
        nn.Conv2d(inner, channels, 1, bias=False),
    )


def _fuse_bottleneck(layers: nn.Sequential) -> None:
    layers[0], layers[1] = fold_into_previous(layers[0], layers[1]), nn.Identity()


def _drop_path(x: Tensor, rate: float) -> Tensor:
    """Zero for a random share of the images (n, …), the others scaled so that the mean stays."""
    if rate == 0.0:
        return x
    keeps = torch.rand(len(x), 1, 1, 1, device=x.device) >= rate
    return x * keeps / (1 - rate)
