"""Networks that judge: whether lips fit a voice, what happens in a clip, what is in a picture, who a face is."""

from joyvasa.models.judges.judge import Judge
from joyvasa.models.judges.loading import load

__all__ = ["Judge", "load"]
