"""The logits as one linear map of two small inputs, a tile of pixels at a time: rewrite 12.

Behind the last decoder's channel attention nothing but linear maps stand. With constant kernels the
logits are `out(u4(up(z) + e1(v)))`, of the scaled map z of `u4` and the mixed map v of `e1`. A tile
of logits depends on a window of either, by kernels that are the same for all tiles but those at the
border, where convolutions pad and the interpolation repeats: those have kernels of their own.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightawnet_edge.model.kernels import CELL, TILE, plain

Linear = Callable[[Tensor, Tensor], Tensor]
"""From z (1, C, h / 2, w / 2) and v (1, c, h, w), in pixels, to logits (1, 1, h, w)."""
_HALF = TILE // 2
_PLANE = 4
"""Tiles on a side of the plane whose responses are taken: enough to have one of every kind."""
_PLACES = {"first": 0, "middle": 1, "last": _PLANE - 1}
"""Where a row or column of tiles stands, and one of that kind on the plane."""
_DEEP, _SHALLOW = 2, 3
"""How far a window of z or v reaches beyond its tile, in pixels of each; v by a cell sideways."""


class Tiles(nn.Module):
    """The tiles of the inside, of one edge or of one corner."""

    def __init__(self, responses: Responses, row: str, column: str) -> None:
        super().__init__()
        deep, shallow, bias = responses.of(row, column)
        self.deep = plain(deep, bias, stride=(_HALF, _HALF))
        self.shallow = plain(shallow, None, stride=(TILE, 1))
        self._deep = _read(row, deep.shape[2]), _read(column, deep.shape[3])
        # Inside, windows of v begin a row after the border, and end one before it.
        rows = slice(1, -1) if row == "middle" else _read(row, shallow.shape[2])
        self._shallow = rows, _read(column, shallow.shape[3])

    def forward(self, z: Tensor, v: Tensor) -> Tensor:
        """From z (1, C, h / 2, w / 2) and v in cells to tiles (1, TILE * TILE, rows, columns)."""
        rows, columns = self._deep
        z = z[:, :, rows, columns]
        rows, columns = self._shallow
        found: Tensor = self.deep(z) + self.shallow(v[:, :, rows, columns])
        return found


class TiledHead(Tiles):
    """Logits from z and v in place of `e1`'s skip, `u4`'s convolution and `out`."""

    def __init__(self, exact: Linear, z: Tensor, v: Tensor) -> None:
        """Take the responses of `exact`; z and v give the channels and the type of its inputs."""
        responses = Responses(exact, z, v)
        super().__init__(responses, "middle", "middle")
        self.border = nn.ModuleDict(
            {
                f"{row}_{column}": Tiles(responses, row, column)
                for row in _PLACES
                for column in _PLACES
                if (row, column) != ("middle", "middle")
            }
        )

    def forward(self, z: Tensor, v: Tensor) -> Tensor:
        """From z (1, C, h / 2, w / 2) and v in cells (1, CELL * c, h, w / CELL) to (1, 1, h, w)."""
        found = {name: tiles(z, v) for name, tiles in self.border.items()}
        found["middle_middle"] = super().forward(z, v)
        rows = [torch.cat([found[f"{row}_{place}"] for place in _PLACES], 3) for row in _PLACES]
        return F.pixel_shuffle(torch.cat(rows, 2), TILE)


class Responses:
    """What each pixel of a small plane of logits owes to each value of z and v."""

    def __init__(self, exact: Linear, z: Tensor, v: Tensor) -> None:
        side = _PLANE * TILE
        inputs = (
            z.new_zeros(1, z.shape[1], side // 2, side // 2),
            v.new_zeros(1, v.shape[1], side, side),
        )
        # torch gives `jacobian` no types.
        found = torch.autograd.functional.jacobian(exact, inputs)  # type: ignore[no-untyped-call]
        deep, shallow = found
        self._deep = _by_tile(F.pad(deep[0, 0, :, :, 0], (_DEEP,) * 4))
        self._shallow = _by_tile(F.pad(shallow[0, 0, :, :, 0], (CELL, CELL, _SHALLOW, _SHALLOW)))
        with torch.no_grad():
            self._bias = _by_tile(exact(*inputs)[0, 0])

    def of(self, row: str, column: str) -> tuple[Tensor, Tensor, Tensor]:
        """Kernels of z and of v in cells, and the bias, of the tiles of one kind."""
        y, x = _PLACES[row], _PLACES[column]
        deep = self._deep[y, x][:, :, _window(row, _HALF, _DEEP), _window(column, _HALF, _DEEP)]
        shallow = self._shallow[y, x][
            :, :, _window(row, TILE, _SHALLOW), _window(column, TILE, CELL)
        ]
        tile, channels, rows, columns = shallow.shape
        cells = shallow.reshape(tile, channels, rows, columns // CELL, CELL)
        cells = cells.permute(0, 4, 1, 2, 3).reshape(tile, -1, rows, columns // CELL)
        return deep, cells, self._bias[y, x]


def _by_tile(pixels: Tensor) -> Tensor:
    """(side, side, ...) to (tiles, tiles, TILE * TILE, ...), in the order of a pixel shuffle."""
    rest = pixels.shape[2:]
    tiles = pixels.reshape(_PLANE, TILE, _PLANE, TILE, *rest)
    return tiles.transpose(1, 2).reshape(_PLANE, _PLANE, TILE * TILE, *rest)


def _window(place: str, step: int, reach: int) -> slice:
    """What a tile on the plane reads of a side that was padded by its reach, less the padding."""
    start = _PLACES[place] * step
    return slice(
        start + (reach if place == "first" else 0),
        start + step + reach + (0 if place == "last" else reach),
    )


def _read(place: str, length: int) -> slice:
    """What tiles of a kind read of a side: as long as their kernel, or all of it."""
    if place == "middle":
        return slice(None)
    return slice(0, length) if place == "first" else slice(-length, None)
