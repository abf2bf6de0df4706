"""How a face is painted: nine factors, and the layers of paint that they determine.

A face is layers of paint: hair, neck, head, eyes, brows, nose, mouth, fringe, all lit from a side.  How much of a pixel
a layer covers is a smooth function of the distance from the pixel's center to the layer's edge.  So edges are
anti-aliased, and the picture is a differentiable function of the factors.

Lengths are in pixels; x points to the right and y down from the center of the picture.
"""
from typing import NamedTuple

import numpy as np

SIDE = 32           # pixels of a picture's side
FACES_AT_ONCE = 64  # faces painted at a time, so that their arrays fit in the cache
FADE_WIDTH = 0.8    # pixels on either side of an edge over which a layer fades
# Brightness of each layer, 0 black to 1 white.
BACKGROUND, HAIR, SKIN, NECK, WHITE, DARK, LIPS, LID, BROW = 0.45, 0.14, 0.80, 0.62, 0.97, 0.08, 0.34, 0.30, 0.20
WHOLE, EYES, BROWS, NOSE, MOUTH, FRINGE = (slice(*rows) for rows in (       # the rows of pixels that a layer can reach
    (0, 32), (9, 22), (4, 17), (13, 24), (15, 32), (0, 17)))


class Factor(NamedTuple):
    """The range from which a factor is drawn, evenly, and its unit."""

    low: float
    high: float
    unit: str


FACTORS = {
    "eye_size": Factor(1.1, 2.5, "pixels, half the height of an eye"),
    "eye_distance": Factor(8.0, 10.6, "pixels between the middles of the eyes"),
    "gaze": Factor(-1.0, 1.0, "how far the eyes look to the right; at 1 the irises are near the corners"),
    "brow_angle": Factor(-24.0, 24.0, "degrees by which the inner ends are lower"),
    "mouth_curve": Factor(-2.0, 2.0, "pixels by which the corners are above the middle"),
    "mouth_width": Factor(2.8, 5.2, "pixels, half the width"),
    "face_width": Factor(8.8, 11.4, "pixels, half the width"),
    "hair": Factor(-4.0, 11.0, "pixels from the center down to the ends of the hair"),
    "light": Factor(-1.0, 1.0, "how far from the right the light comes"),
}
LOW, HIGH = (np.array([getattr(factor, end) for factor in FACTORS.values()]) for end in ("low", "high"))


def _cover(distance):
    """Return how much of a pixel a layer covers, 0 to 1; its edge is `distance` pixels away, negative inside."""
    t = np.clip(0.5 - distance / (2 * FADE_WIDTH), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def _ellipse(x, y, half_width, half_height):
    """Return the distance from an ellipse's edge to first order, q / |grad q| with q = (x/a)^2 + (y/b)^2 - 1."""
    u, v = x / half_width, y / half_height
    slope = 2 * np.sqrt((u / half_width)**2 + (v / half_height)**2 + 1e-9)
    return (u * u + v * v - 1) / slope


def _paint(factors):
    """Paint faces: factors (n, 9) in the order of FACTORS, pictures (n, 32, 32) float64."""
    size, distance, gaze, angle, curve, mouth, width, hair, light = factors.T[:, :, None, None]
    centers = np.arange(SIDE) - (SIDE - 1) / 2
    rows, x = centers[:, None], centers
    side = np.abs(x)                                       # a face is symmetric, so both halves are painted at once
    shade = 1 + 0.3 * light * x / 12
    picture = np.full((len(factors), SIDE, SIDE), BACKGROUND)

    def layer(where, cover, tone):
        picture[:, where] += cover * (tone * shade - picture[:, where])

    y = rows
    skull = width + 2.2
    layer(WHOLE, _cover(_ellipse(x, np.minimum(y, 0.0), skull, 13.8)) * _cover(y - hair), HAIR)
    layer(WHOLE, _cover(side - 4.2) * _cover(9.0 - y), NECK)
    jaw = width * (1 - 0.012 * y - 0.0006 * y * y)          # narrower toward the chin
    layer(WHOLE, _cover(_ellipse(x, y - 1.5, jaw, 12.5)), SKIN * (1 - 0.0012 * (x * x + 0.5 * y * y)))

    y = rows[EYES] + 0.5
    across = side - distance / 2
    eye_width = 1.1 * size + 0.7
    layer(EYES, _cover(_ellipse(across, y + 0.25, eye_width + 0.5, size + 0.55)), LID)
    white = _cover(_ellipse(across, y, eye_width, size))
    layer(EYES, white, WHITE)
    from_iris = x - np.sign(x) * distance / 2 - 0.55 * gaze * size
    layer(EYES, white * _cover(_ellipse(from_iris, y, 0.72 * size, 0.72 * size)), DARK)

    y = rows[BROWS] + 5.2
    slope = np.tan(np.radians(angle))
    layer(BROWS, _cover(np.abs(y + slope * across) / np.sqrt(1 + slope * slope) - 0.6)
          * _cover(np.abs(across) - 2.9), BROW)

    y = rows[NOSE]
    layer(NOSE, 0.22 * _cover(_ellipse(x + 1.1 * light, y - 2.8, 1.0, 2.8)), DARK)      # away from the light
    layer(NOSE, 0.5 * _cover(_ellipse(x, y - 5.0, 1.7, 0.6)), DARK)

    y = rows[MOUTH] - 9.2
    along = x / mouth
    steep = np.sqrt(1 + (2 * curve * along / mouth)**2)    # ratio of vertical distance to distance from a parabola
    layer(MOUTH, _cover(np.abs(y + curve * (along * along - 0.5)) / steep - 0.85) * _cover(side - mouth), LIPS)

    y = rows[FRINGE]
    layer(FRINGE, _cover(y + 7.6 - 0.03 * x * x) * _cover(_ellipse(x, y, skull, 13.8)), HAIR)
    return np.clip(picture, 0.0, 1.0, out=picture)


def paint(matrix: np.ndarray, dtype: type = np.float64) -> np.ndarray:
    """Draw faces from factors (n, 9), in the order of FACTORS: pixels (n, 1024) from 0 black to 1 white, row by row."""
    pictures = np.empty((len(matrix), SIDE * SIDE), dtype)
    for start in range(0, len(matrix), FACES_AT_ONCE):
        piece = matrix[start:start + FACES_AT_ONCE]
        pictures[start:start + FACES_AT_ONCE] = _paint(piece).reshape(len(piece), -1)
    return pictures
