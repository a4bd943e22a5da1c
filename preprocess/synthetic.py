"""source=synthetic: a corpus of made speakers, written as ordinary shards."""

from __future__ import annotations

from pathlib import Path

from joyvasa.data.shards import DatasetInfo
from joyvasa.data.synthetic import Corpus, write_corpus


class SyntheticSource:
    """Settings of a corpus; called with the output folder it makes it. See joyvasa.data.synthetic.Corpus."""

    def __init__(self, *, clips_per_shard: int, processes: int, **corpus):
        self.corpus, self.clips_per_shard, self.processes = Corpus(**corpus), clips_per_shard, processes

    def __call__(self, output: str) -> DatasetInfo:
        how = {"clips_per_shard": self.clips_per_shard, "processes": self.processes}
        return write_corpus(Path(output), self.corpus, **how)
