"""How sharp a face is, as a number that blur lowers and light, contrast and the face's size leave as it is."""

from __future__ import annotations

import cv2
import numpy as np

SHARPNESS_PX = 128  # about what M sees of the square: 256 pixels of a crop 2.2 times as wide
EDGES = 99.0  # percentile: the steepest edges, of eyes, brows and nostrils; skin would measure make-up and beards


def sharpness(image: np.ndarray, square: np.ndarray) -> float:
    """How much steeper the face's edges are at fine than at coarse scale; 0 without any finer detail, 1 for steps.

    image: uint8 RGB (H, W, 3); square: centre x, centre y, side (and roll, unused). The gradient under Gaussians of 1
    and 2 pixels, of the square brought to SHARPNESS_PX: free of units, of brightness and contrast, and of the face's
    size as long as it has SHARPNESS_PX pixels.
    """
    x, y, side = (float(value) for value in square[:3])
    low = np.floor([x - side / 2, y - side / 2]).astype(int)
    high = np.ceil([x + side / 2, y + side / 2]).astype(int)
    (x0, y0), (x1, y1) = np.clip(low, 0, None), np.minimum(high, [image.shape[1], image.shape[0]])
    if x1 <= x0 or y1 <= y0:
        return 0.0
    how = cv2.INTER_AREA if side > SHARPNESS_PX else cv2.INTER_LINEAR
    scale = SHARPNESS_PX / side
    size = [max(1, round((stop - start) * scale)) for start, stop in ((x0, x1), (y0, y1))]
    grey = cv2.resize(cv2.cvtColor(image[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY), size, interpolation=how)
    fine, coarse = (_steepness(grey.astype(np.float32), sigma) for sigma in (1.0, 2.0))
    return max(0.0, fine / coarse - 1) if coarse > 0 else 0.0


def _steepness(grey: np.ndarray, sigma: float) -> float:
    smooth = cv2.GaussianBlur(grey, (0, 0), sigma)
    return float(np.percentile(np.hypot(cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1)), EDGES))
