"""run.py in a process that kills itself: `python killed.py PLACE NUMBER LOG WORDS…`

PLACE: "put" before the NUMBER-th reading is written, "rename" while it is, "frame" at that frame; "never". LOG: a line
for every film that is opened.
"""

import os
import signal
import sys

from joyvasa.eval.films import passing, store
from joyvasa.io.video_reader import VideoReader

place, number, log = sys.argv[1], int(sys.argv[2]), sys.argv[3]
count = 0


def passed(where: str) -> None:
    global count
    count += where == place
    if where == place and count == number:
        os.kill(os.getpid(), signal.SIGKILL)


class Watched(VideoReader):
    def __iter__(self):
        with open(log, "a") as file:
            file.write(f"{self.path}\n")
        for frame in super().__iter__():
            passed("frame")
            yield frame


put, save = store.Store.put, store.np.savez


def watched_put(self, key, reading):
    passed("put")
    put(self, key, reading)


def watched_save(stream, **arrays):
    stream.write(b"half of a file")
    stream.flush()
    passed("rename")
    stream.seek(0)
    save(stream, **arrays)


passing.VideoReader, store.Store.put, store.np.savez = Watched, watched_put, watched_save
sys.argv[1:] = sys.argv[4:]

from joyvasa.__main__ import main  # noqa: E402

main()
