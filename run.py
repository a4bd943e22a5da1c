"""python run.py experiment=demo — composes the configuration and calls the task; see `python run.py --help`."""

from joyvasa.__main__ import main

if __name__ == "__main__":
    main()
