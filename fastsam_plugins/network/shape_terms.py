"""Shape terms: a head whose masks know where in their box they are.

Prototypes have to tell an object from its surroundings by what lies at each pixel, and a small
network that saw few images does so by colour. That an object is rather in the middle of its box
than in the corners, or fills the lower half, no prototype can say, since none knows where boxes
are. In a network with shape terms the last six coefficients of a mask are those of a quadric over
its box,

    a + b x + c y + d x^2 + e y^2 + f x y,   with x and y from -1 to 1 across the box,

added to the logits: an ellipse at any angle, a half, a band, the whole box. In coordinates of the
image it has six other coefficients, over the fixed maps 1, x, y, x^2, y^2, x y; the head gives
those, in place of its last six coefficients and prototypes. So what leaves the network are
prototypes and coefficients as of any YOLOv8-seg network, and nothing after it is different.
"""

from __future__ import annotations

from typing import Any

import torch

from fastsam_plugins.masks.sampling import CELL
from fastsam_plugins.network.checkpoints import SHAPE_TERMS
from fastsam_plugins.network.ultralytics_guard import Segment

TERMS = 6
NARROW = 0.5  # cells: a box's coordinates are not stretched further than those of twice this side
UNIT = 64.0  # cells: the image's coordinates are counted in these, so that numbers stay small
START = (2.0, 0.0, 0.0, -2.0, -2.0, 0.0)  # the ellipse within the box


class ShapedSegment(Segment):
    """YOLOv8-seg's head, its last six coefficients shape terms."""

    def forward(self, x: list[torch.Tensor]) -> Any:
        """As ``Segment``; in training the terms are as they are, see :func:`quadrics`."""
        outcome = super().forward(x)
        if self.training:
            return outcome
        (predictions, prototypes), *rest = (outcome,) if self.export else outcome
        coefficients, prototypes = as_usual(
            predictions[:, -self.nm :], prototypes, predictions[:, :4] / CELL
        )
        outputs = torch.cat([predictions[:, : -self.nm], coefficients], 1), prototypes
        return outputs if self.export else (outputs, *rest)


def give(model: Any) -> None:
    """Make the head of a network that ultralytics built one with shape terms, if it is to have any.

    Raises
    ------
    ValueError
        If its description asks for another number of them.
    """
    wanted = model.yaml.get(SHAPE_TERMS, 0)
    if wanted not in (0, TERMS):
        raise ValueError(f"{SHAPE_TERMS} is {wanted}, this version knows {TERMS}")
    if wanted and (type(model.model[-1]) is not Segment or model.model[-1].nc != 1):
        raise ValueError("shape terms are for the head of YOLOv8-seg and YOLO11-seg, of one class")
    if wanted:
        model.model[-1].__class__ = ShapedSegment


def begin(model: Any) -> None:
    """Let a network that is to be trained start with ellipses, in place of the prototypes that its
    masks use least."""
    head = model.model[-1]
    last, normal = [layers[-1] for layers in head.cv4], head.proto.cv3.bn
    with torch.no_grad():
        # A batch-normalised map has these values before its activation; how much comes after it?
        deviations = torch.special.ndtri(torch.linspace(0.01, 0.99, 99, device=normal.bias.device))
        spread = torch.nn.functional.silu(deviations[:, None] * normal.weight + normal.bias).var(0)
        use = spread * sum(layer.weight.flatten(1).square().sum(1) for layer in last)
        order = use.argsort(descending=True)
        ordered = [*head.proto.cv3.conv.parameters(), *normal.parameters()]
        ordered += [normal.running_mean, normal.running_var]
        for values in (*ordered, *(p for layer in last for p in layer.parameters())):
            values.copy_(values[order])
        for layer in last:
            layer.weight[-TERMS:] = 0
            layer.bias[-TERMS:] = torch.tensor(START)


def as_usual(
    coefficients: torch.Tensor, prototypes: torch.Tensor, boxes: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Coefficients and prototypes that any YOLOv8-seg network might give, for the same masks.

    Parameters
    ----------
    coefficients : float tensor (B, C, A)
        The last six are shape terms.
    prototypes : float tensor (B, C, h, w)
        The last six are not used.
    boxes : float tensor (B, 4, A)
        Centre and size (x, y, w, h) in cells.

    Returns
    -------
    two float tensors (B, C, A) and (B, C, h, w)
    """
    terms = in_image(coefficients[:, -TERMS:], boxes, *prototypes.shape[2:])
    return (
        torch.cat([coefficients[:, :-TERMS], terms], 1),
        torch.cat([prototypes[:, :-TERMS], maps(prototypes)], 1),
    )


def quadrics(terms: torch.Tensor, boxes: torch.Tensor, h: int, w: int) -> torch.Tensor:
    """Values (N, h, w) of quadrics at the centres of cells.

    Parameters
    ----------
    terms : float tensor (N, 6)
    boxes : float tensor (N, 4)
        xyxy in cells.
    h, w : int
        Cells.
    """
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = ((boxes[:, 2:] - boxes[:, :2]) / 2).clamp(min=NARROW)
    x = (torch.arange(w, device=boxes.device) + 0.5 - centre[:, :1]) / half[:, :1]
    y = (torch.arange(h, device=boxes.device) + 0.5 - centre[:, 1:]) / half[:, 1:]
    a, b, c, d, e, f = terms.T[:, :, None]
    along_x, along_y = a + b * x + d * x**2, c * y + e * y**2
    return along_x[:, None] + along_y[:, :, None] + (f * y)[:, :, None] * x[:, None]


def in_image(terms: torch.Tensor, boxes: torch.Tensor, h: int, w: int) -> torch.Tensor:
    """The same quadrics as coefficients over :func:`maps`.

    Parameters
    ----------
    terms : float tensor (B, 6, A)
    boxes : float tensor (B, 4, A)
        Centre and size (x, y, w, h) in cells.
    h, w : int
        Cells of the image.

    Returns
    -------
    float tensor (B, 6, A)
    """
    half = (boxes[:, 2:] / 2).clamp(min=NARROW)
    p, q = (UNIT / half).unbind(1)
    u, v = (boxes[:, 0] - w / 2) / half[:, 0], (boxes[:, 1] - h / 2) / half[:, 1]
    a, b, c, d, e, f = terms.unbind(1)
    return torch.stack(
        [
            a - b * u - c * v + d * u**2 + e * v**2 + f * u * v,
            (b - 2 * d * u - f * v) * p,
            (c - 2 * e * v - f * u) * q,
            d * p**2,
            e * q**2,
            f * p * q,
        ],
        dim=1,
    )


def maps(like: torch.Tensor) -> torch.Tensor:
    """The maps (B, 6, h, w) of 1, x, y, x^2, y^2, x y beside prototypes (B, C, h, w).

    Coordinates count from the middle of the image: there a quadric's terms, which are large for
    small objects, lose the fewest digits where they cancel.
    """
    count, _, h, w = like.shape
    x = ((torch.arange(w, device=like.device) + 0.5 - w / 2) / UNIT).expand(h, w)
    y = ((torch.arange(h, device=like.device) + 0.5 - h / 2) / UNIT)[:, None].expand(h, w)
    stacked = torch.stack([torch.ones_like(x), x, y, x**2, y**2, x * y])
    return stacked.to(like).expand(count, -1, -1, -1)
