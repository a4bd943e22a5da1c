"""LivePortrait (arXiv 2407.03168): F, M, W, G, S from the official files, for inference."""

from joyvasa.models.liveportrait.bundle import LivePortrait
from joyvasa.models.liveportrait.loading import load

__all__ = ["LivePortrait", "load"]
