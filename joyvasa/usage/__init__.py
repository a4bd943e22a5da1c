"""What the command line says: help of a task, of a group and of a source, and what is wrong with the words typed.

Everything shown is read from where it is defined, so that a key has one home:

- its value and a line of meaning: the file in conf/ that sets it (`key: value  # meaning`);
- its type: the typed root (`joyvasa.tasks.config.Root`, `preprocess.config.Root`), or the signature of the `_target_`
  that takes it, read from the source without importing it, since help should not wait for torch;
- which keys a task has: the comment at the top of conf/task/NAME.yaml (see `joyvasa.usage.meanings`).
"""
