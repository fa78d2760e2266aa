# SPDX-License-Identifier: GPL-2.0-or-later
"""Oriented R-CNN (Xie et al., ICCV 2021) on LWGANet: oriented boxes in two stages.

Top-down: the detector; the pyramid of maps; the head that proposes oriented regions; the head that names them. The
attributes have the names of the official weights. Boxes are pixels and radians, see ``rotated_boxes``; they are
computed in float32 or better whatever the precision of the convolutions.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model_runner.networks.fusing import fold_into_next
from model_runner.networks.lwganet import Backbone
from model_runner.networks.maps import at_least_float32
from model_runner.rotated_boxes.coders import decode_midpoint_offsets, decode_rotated_deltas
from model_runner.rotated_boxes.geometry import enclosing_boxes
from model_runner.rotated_boxes.overlap import class_wise_rotated_nms, level_wise_horizontal_nms
from model_runner.rotated_boxes.roi_align import rotated_roi_align

STRIDES = (4, 8, 16, 32, 64)
ANCHOR_RATIOS = (0.5, 1.0, 2.0)  # height / width
PROPOSAL_NMS = 0.8
FINEST_ROI = 56  # pixels: side from which regions are read from the second map on
ROI_LEVELS = 4
ROI_SIZE = 7


class Detections(NamedTuple):
    """What was found in one image: boxes (n, 5) le90, scores (n,), class numbers (n,) int64; best score first."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class OrientedRCNN(nn.Module):
    """The detector: normalised images (n, bands, h, w) to a list of ``Detections``.

    Height and width are multiples of 32, at least 96. In training mode its parts are called one by one, see
    ``training.oriented_rcnn_loss``.

    Args:
        size: of the backbone, "l0", "l1" or "l2".
        num_classes: classes of objects.
        in_channels: bands of the image.
        drop_path: see ``Backbone``.
        neck_channels: channels of the pyramid.
        rpn_channels: channels inside the head that proposes.
        head_channels: features of a region inside the head that names.
        proposals: regions that are looked at in an image.
        anchor_scale: side of a square anchor in strides of its map; the smallest one's side is four times as many
            pixels. Objects well below it are hardly proposed.
    """

    def __init__(
        self,
        size: str,
        num_classes: int,
        in_channels: int = 3,
        drop_path: float = 0.0,
        neck_channels: int = 256,
        rpn_channels: int = 256,
        head_channels: int = 1024,
        proposals: int = 2000,
        anchor_scale: int = 8,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(size, in_channels, drop_path)
        self.neck = FeaturePyramid(self.backbone.channels, neck_channels)
        self.rpn_head = ProposalHead(neck_channels, rpn_channels, proposals, anchor_scale)
        self.roi_head = RegionHead(neck_channels, head_channels, num_classes)

    def forward(self, images: Tensor) -> list[Detections]:
        """See the class."""
        image_size = tuple(images.shape[-2:])
        maps = self.extract(images)
        objectness, deltas = self.rpn_head(maps)
        proposals = self.rpn_head.proposals(objectness, deltas, self.rpn_head.anchors(maps))
        boxes = [each[:, :5] for each in proposals]
        logits, refinements = self.roi_head(maps, regions_of(boxes))
        counts = [len(each) for each in boxes]
        return [
            self.roi_head.detections(*each, image_size)
            for each in zip(logits.split(counts), refinements.split(counts), boxes, strict=True)
        ]

    def extract(self, images: Tensor) -> list[Tensor]:
        """Five maps (n, neck_channels, h/stride, w/stride) for the strides 4 to 64."""
        return self.neck(self.backbone(images))

    def fuse(self) -> None:
        """Fold the backbone's last normalisations into the pyramid."""
        for level, lateral in enumerate(self.neck.lateral_convs):
            norm = getattr(self.backbone, f"norm{2 * level}")
            lateral.conv = fold_into_next(norm, lateral.conv, 0)
            setattr(self.backbone, f"norm{2 * level}", nn.Identity())


def regions_of(boxes: list[Tensor]) -> Tensor:
    """Boxes (n, 5) of each image as regions (r, 6), the image's index first."""
    return torch.cat([F.pad(each, (1, 0), value=index) for index, each in enumerate(boxes)])


class FeaturePyramid(nn.Module):
    """Four maps to five of equal width; each passes its content on to the finer one (Lin et al., CVPR 2017)."""

    def __init__(self, in_channels: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(NamedConv(each, channels, 1) for each in in_channels)
        self.fpn_convs = nn.ModuleList(NamedConv(channels, channels, 3) for _ in in_channels)

    def forward(self, maps: tuple[Tensor, ...]) -> list[Tensor]:
        """See the class."""
        laterals = [conv(each) for conv, each in zip(self.lateral_convs, maps, strict=True)]
        for level in range(len(laterals) - 1, 0, -1):
            finer = laterals[level - 1]
            laterals[level - 1] = finer + F.interpolate(laterals[level], finer.shape[-2:], mode="nearest")
        pyramid = [conv(each) for conv, each in zip(self.fpn_convs, laterals, strict=True)]
        return [*pyramid, F.max_pool2d(pyramid[-1], 1, 2)]


class ProposalHead(nn.Module):
    """Proposes oriented regions from horizontal anchors, three at each pixel of each map."""

    def __init__(self, in_channels: int, channels: int, proposals: int, anchor_scale: int) -> None:
        super().__init__()
        anchors = len(ANCHOR_RATIOS)
        self.proposal_count = proposals
        self.anchor_scale = anchor_scale
        self.rpn_conv = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.rpn_cls = nn.Conv2d(channels, anchors, 1)
        self.rpn_reg = nn.Conv2d(channels, 6 * anchors, 1)
        for layer in (self.rpn_conv, self.rpn_cls, self.rpn_reg):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Logits of objectness (n, 3, h, w) and midpoint offsets (n, 18, h, w) for each map."""
        hidden = [F.relu(self.rpn_conv(each)) for each in maps]
        return [self.rpn_cls(each) for each in hidden], [self.rpn_reg(each) for each in hidden]

    def anchors(self, maps: list[Tensor]) -> list[Tensor]:
        """Horizontal anchors (h * w * 3, 4) in image pixels for each map: by row, column, ratio; always float32."""
        return [
            _anchors(each.shape[-2], each.shape[-1], stride, self.anchor_scale * stride, each.device)
            for each, stride in zip(maps, STRIDES, strict=True)
        ]

    @torch.no_grad()
    def proposals(self, objectness: list[Tensor], deltas: list[Tensor], anchors: list[Tensor]) -> list[Tensor]:
        """The best regions of each image, (n, 6): cx, cy, w, h, angle, objectness from 0 to 1; best first."""
        per_level = [_flatten(*each) for each in zip(objectness, deltas, strict=True)]
        return [
            self._proposals_of_image([(scores[i], offsets[i]) for scores, offsets in per_level], anchors)
            for i in range(len(objectness[0]))
        ]

    def _proposals_of_image(self, per_level: list[tuple[Tensor, Tensor]], anchors: list[Tensor]) -> Tensor:
        boxes, scores, levels = [], [], []
        for level, ((logits, offsets), places) in enumerate(zip(per_level, anchors, strict=True)):
            best, index = logits.sigmoid().topk(min(self.proposal_count, len(logits)))
            boxes.append(decode_midpoint_offsets(places[index], offsets[index]))
            scores.append(best)
            levels.append(torch.full_like(index, level))
        box, score, level = torch.cat(boxes), torch.cat(scores), torch.cat(levels)
        kept = level_wise_horizontal_nms(enclosing_boxes(box), score, level, PROPOSAL_NMS)[: self.proposal_count]
        return torch.cat((box[kept], score[kept, None]), 1)


class RegionHead(nn.Module):
    """Names and refines proposed regions.

    ``score_threshold``, ``nms_threshold`` (rotated IoU) and ``max_detections`` may be changed after construction.
    """

    def __init__(self, in_channels: int, channels: int, num_classes: int) -> None:
        super().__init__()
        self.score_threshold = 0.05
        self.nms_threshold = 0.1
        self.max_detections = 2000
        self.bbox_head = BoxHead(in_channels * ROI_SIZE**2, channels, num_classes)

    def forward(self, maps: list[Tensor], regions: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits (r, classes + 1), background last, and rotated deltas (r, 5) for regions (r, 6)."""
        return self.bbox_head(self.pool(maps, regions).flatten(1))

    def pool(self, maps: list[Tensor], regions: Tensor) -> Tensor:
        """Features (r, c, 7, 7) of regions, from the map that fits their size."""
        levels = region_levels(regions)
        features = maps[0].new_zeros(len(regions), maps[0].shape[1], ROI_SIZE, ROI_SIZE)
        for level in range(ROI_LEVELS):
            chosen = (levels == level).nonzero()[:, 0]
            pooled = rotated_roi_align(maps[level], regions[chosen], 1 / STRIDES[level], ROI_SIZE)
            features = features.index_copy(0, chosen, pooled)
        return features

    @torch.no_grad()
    def detections(self, logits: Tensor, deltas: Tensor, boxes: Tensor, image_size: tuple[int, int]) -> Detections:
        """What one image shows: regions with logits (r, classes + 1), deltas (r, 5) and their boxes (r, 5)."""
        scores = at_least_float32(logits).softmax(1)[:, :-1]
        refined = decode_rotated_deltas(boxes, at_least_float32(deltas), image_size)
        region, label = (scores > self.score_threshold).nonzero(as_tuple=True)
        box, score = refined[region], scores[region, label]
        kept = class_wise_rotated_nms(box, score, label, self.nms_threshold)[: self.max_detections]
        return Detections(box[kept], score[kept], label[kept])


class BoxHead(nn.Module):
    """Two shared layers, then class and refinement."""

    def __init__(self, in_features: int, channels: int, num_classes: int) -> None:
        super().__init__()
        self.fc_cls = nn.Linear(channels, num_classes + 1)
        self.fc_reg = nn.Linear(channels, 5)
        self.shared_fcs = nn.ModuleList((nn.Linear(in_features, channels), nn.Linear(channels, channels)))
        nn.init.normal_(self.fc_cls.weight, std=0.01)
        nn.init.normal_(self.fc_reg.weight, std=0.001)
        for layer in self.shared_fcs:
            nn.init.xavier_uniform_(layer.weight)
        for layer in (self.fc_cls, self.fc_reg, *self.shared_fcs):
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (r, f), ordered by channel, row, column, to logits and deltas."""
        for layer in self.shared_fcs:
            features = F.relu(layer(features))
        return self.fc_cls(features), self.fc_reg(features)


def region_levels(regions: Tensor) -> Tensor:
    """The map (r,), 0 to 3, from which each region (r, 6) is read, by the root of its area."""
    side = (regions[:, 3] * regions[:, 4]).sqrt()
    return (side / FINEST_ROI + 1e-6).log2().floor().clamp(0, ROI_LEVELS - 1).long()


def _anchors(height: int, width: int, stride: int, side: int, device: torch.device) -> Tensor:
    ratio = torch.tensor(ANCHOR_RATIOS, device=device).sqrt()
    half = torch.stack((side / ratio, side * ratio), 1) / 2
    shape = torch.cat((-half, half), 1)
    x = torch.arange(width, device=device, dtype=torch.float32) * stride
    y = torch.arange(height, device=device, dtype=torch.float32) * stride
    y, x = torch.meshgrid(y, x, indexing="ij")
    place = torch.stack((x, y, x, y), 2).view(-1, 1, 4)
    return (place + shape).view(-1, 4)


def _flatten(objectness: Tensor, deltas: Tensor) -> tuple[Tensor, Tensor]:
    """Maps of a level as (n, anchors) logits and (n, anchors, 6) offsets, in the order of the anchors."""
    count = len(objectness)
    logits = objectness.permute(0, 2, 3, 1).reshape(count, -1)
    offsets = deltas.permute(0, 2, 3, 1).reshape(count, -1, 6)
    return at_least_float32(logits), at_least_float32(offsets)


class NamedConv(nn.Module):
    """A convolution under the name ``conv``, as the official weights have it."""

    def __init__(self, in_channels: int, channels: int, size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, size, padding=size // 2)
        nn.init.xavier_uniform_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, h, w) to (n, channels, h, w)."""
        return self.conv(x)
