"""python app.py [key=value …] — the web page: a photo and a voice become a film. The same as `run.py task=app`."""

import sys

from joyvasa.__main__ import main

if __name__ == "__main__":
    sys.argv.insert(1, "task=app")
    main()
