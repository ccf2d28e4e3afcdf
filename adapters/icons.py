"""Draws the app's two icons for Teams: a bridge in a speech bubble. Pure; the PNG writer is here, no library draws.

Sizes and colours that Teams wants: https://learn.microsoft.com/microsoftteams/platform/concepts/build-and-test/
apps-package#app-icons
"""

import itertools
import math
import struct
import zlib
from collections.abc import Callable

COLOR_SIDE_PX = 192
OUTLINE_SIDE_PX = 32
ACCENT = "#3B3F9E"

Colour = tuple[int, int, int]
Shape = Callable[[float, float], float]
"""Signed distance in pixels from a point to a shape's edge; negative inside."""

_WHITE: Colour = (255, 255, 255)
_GROUND: Colour = (0x3B, 0x3F, 0x9E)
_BRIDGE: Colour = (0x3B, 0x3F, 0x9E)
_WATER: Colour = (0x8F, 0xB4, 0xF0)


def color_png() -> bytes:
    """Return the icon in full colour, 192 px square, without a transparent pixel."""
    bubble, bridge, water = (
        _bubble(96, 88, 66, 50, 22),
        _bridge(96, 104, tower=25, reach=52, height=34, half=3.6),
        _wave(96, 118, 46, 5.0),
    )

    def pixel(x: float, y: float) -> tuple[int, int, int, int]:
        found = _over(_GROUND, _WHITE, _cover(bubble(x, y)))
        found = _over(found, _WATER, _cover(water(x, y)))
        return (*_over(found, _BRIDGE, _cover(bridge(x, y))), 255)

    return _png(COLOR_SIDE_PX, pixel)


def outline_png() -> bytes:
    """Return the outline, 32 px square: white, and transparent around it."""
    bubble, bridge = _bubble(16, 13.5, 13.5, 11, 5), _bridge(16, 15.5, tower=4.5, reach=10, height=7, half=0.7)

    def pixel(x: float, y: float) -> tuple[int, int, int, int]:
        line = abs(bubble(x, y)) - 0.9
        return (*_WHITE, round(255 * _cover(min(line, bridge(x, y)))))

    return _png(OUTLINE_SIDE_PX, pixel)


def _bubble(x0: float, y0: float, half_width: float, half_height: float, radius: float) -> Shape:
    """Return a rounded rectangle with a tail at its lower left."""
    tail = [
        (x0 - half_width * 0.62, y0 + half_height - radius * 0.2),
        (x0 - half_width * 0.62, y0 + half_height * 1.42),
        (x0 - half_width * 0.02, y0 + half_height - radius * 0.2),
    ]

    def distance(x: float, y: float) -> float:
        across, down = abs(x - x0) - half_width + radius, abs(y - y0) - half_height + radius
        box = math.hypot(max(across, 0), max(down, 0)) + min(max(across, down), 0) - radius
        return min(box, _triangle(x, y, tail))

    return distance


def _bridge(x0: float, deck_y: float, *, tower: float, reach: float, height: float, half: float) -> Shape:
    """Return a suspension bridge: a deck that ends `reach` from the middle, a tower at `tower` on either side, and the
    cable between and beside them. `half` of a stroke's width.
    """
    top, sag = deck_y - height, height * 0.72

    def distance(x: float, y: float) -> float:
        across = abs(x - x0)
        deck = _bar(across, y, (0, deck_y), (reach, deck_y), half)
        pillar = _bar(across, y, (tower, top), (tower, deck_y + height * 0.3), half * 1.15)
        between = [(tower * i / 6, top + sag * (1 - (i / 6) ** 2)) for i in range(7)]
        cable = min(_bar(across, y, a, b, half * 0.7) for a, b in itertools.pairwise(between))
        side = _bar(across, y, (tower, top), (reach, deck_y), half * 0.7)
        return min(deck, pillar, cable, side)

    return distance


def _wave(x0: float, y0: float, half_width: float, width: float) -> Shape:
    def distance(x: float, y: float) -> float:
        inside = max(-half_width, min(half_width, x - x0))
        level = y0 + 2.5 * math.sin(inside / 7.0)
        return math.hypot(x - x0 - inside, y - level) - width / 2

    return distance


def _bar(x: float, y: float, start: tuple[float, float], end: tuple[float, float], half: float) -> float:
    """Return the distance to a line with round ends, `half` of its width on each side."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = max(0.0, min(1.0, ((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy)))
    return math.hypot(x - start[0] - along * dx, y - start[1] - along * dy) - half


def _triangle(x: float, y: float, corners: list[tuple[float, float]]) -> float:
    edges = list(zip(corners, [*corners[1:], corners[0]], strict=True))
    border = min(_bar(x, y, a, b, 0) for a, b in edges)
    sides = [(b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]) for a, b in edges]
    return -border if all(side <= 0 for side in sides) or all(side >= 0 for side in sides) else border


def _cover(distance: float) -> float:
    """Return how much of a pixel a shape covers, whose edge is so far from the pixel's middle."""
    return max(0.0, min(1.0, 0.5 - distance))


def _over(below: Colour, above: Colour, share: float) -> Colour:
    red, green, blue = (round(b + (a - b) * share) for b, a in zip(below, above, strict=True))
    return red, green, blue


def _png(side: int, pixel: Callable[[float, float], tuple[int, int, int, int]]) -> bytes:
    """Return an RGBA image after https://www.w3.org/TR/png-3/ ; `pixel` is asked for the middle of each."""
    rows = bytearray()
    for y in range(side):
        rows.append(0)  # this row is stored as it is
        for x in range(side):
            rows += bytes(pixel(x + 0.5, y + 0.5))
    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
