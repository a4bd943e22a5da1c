"""What a program answers before Hydra sees its words: usage, help, and what is wrong with them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from omegaconf import DictConfig

from joyvasa.usage.keys import list_keys
from joyvasa.usage.pages import choice_page, commands_page, group_page, table_of
from joyvasa.usage.program import Program, place_of
from joyvasa.usage.words import (
    ELSEWHERE,
    HELP,
    PRINTING,
    RERUN,
    Words,
    WrongWords,
    check_settings,
    check_strays,
    names_of,
    nearest,
    starts_something,
    take_apart,
)

ASKED_WRONGLY = 2


@dataclass(frozen=True)
class Front:
    """The front of a program.

    Attributes:
        program: run.py or preprocess.
        noun: what `program.chooser` chooses, in the plural: commands, sources.
        others: further commands with their meaning.
        examples: whole commands for the usage.
    """

    program: Program
    noun: str
    others: Mapping[str, str]
    examples: Sequence[str]

    def answer(self, typed: Sequence[str]) -> None:
        """Return when Hydra should take over; otherwise print and leave.

        Args:
            typed: what follows the program's name.

        Raises:
            SystemExit: code 0 after help, 2 after usage or a word that is not understood.
        """
        words = take_apart(typed)
        asks = words.has(HELP) or list(typed[:1]) == ["help"]
        try:
            if asks:
                print(self.help(words))
                sys.exit(0)
            if words.has(RERUN) or (words.has(ELSEWHERE) and words.has(PRINTING)):
                return
            help_of = self._help_of(words)
            check_strays(self.program, typed, words.strays, help_of)
            if not (words.has(PRINTING) or starts_something(self.program, words)):
                self._refuse(words)
            if os.environ.get("HYDRA_FULL_ERROR") != "1":  # Hydra's own error, with its traceback, is wanted then
                check_settings(self.program, words, help_of)
        except WrongWords as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(ASKED_WRONGLY)

    def _refuse(self, words: Words) -> None:
        """Nothing was named that could start."""
        print(self.usage(), file=sys.stderr)
        if words.settings:
            starts = " or ".join(f"{name}=" for name in self.program.starts)
            print(f"\nerror: expected {starts} among the words; nothing is started", file=sys.stderr)
        sys.exit(ASKED_WRONGLY)

    def usage(self) -> str:
        """The commands, a line each, and examples."""
        program = self.program
        listed = commands_page(program, program.options(program.chooser))
        listed += [f"  {name:<12} {meaning}" for name, meaning in self.others.items()]
        lines = [f"usage: {program.called(self.noun[:-1].upper())} KEY=VALUE …", "", f"{self.noun}:", *sorted(listed)]
        lines += ["", "examples:", *(f"  {example}" for example in self.examples)]
        asked = program.called("NAME")
        lines += ["", f"{asked} --help lists the keys of one, with type, default and meaning."]
        return "\n".join(lines)

    def help(self, words: Words) -> str:
        """Write the help that was asked for: of the program, of a task or source, of a group or key of it."""
        program = self.program
        topics = [word for _, word in words.strays if word != "help"]
        settings = list(words.settings)
        options = program.options(program.chooser)
        if topics and topics[0] in options and self._choice(words) is None:
            settings.append(f"{program.chooser}={topics.pop(0)}")
            words = take_apart(settings)
        choice = self._choice(words)
        if not topics and choice is None and not starts_something(program, words):
            return f"{self.usage()}\n\n{_HYDRA.format(command=program.command)}"
        composed = check_settings(program, words, self._help_of(words))
        if composed is None:
            raise WrongWords("help is of this program's own configuration; leave --config-… out")
        if topics:
            return self._topic(composed, topics[0], settings)
        return choice_page(program, composed, choice or self._composed_choice(composed))

    def _topic(self, composed: DictConfig, topic: str, settings: list[str]) -> str:
        """Help of a group, a part or a key. A group of which nothing is chosen shows the keys of its first option."""
        program = self.program
        page = group_page(program, composed, topic)
        options = program.options(topic)
        if options and topic != program.chooser and not any(program.header(topic, each).package for each in options):
            if program.chosen(composed).get(topic) is None and topic in program.chosen(composed):
                first = f"{topic}={options[0]}"
                keys = list_keys(program, program.compose([*settings, first]), topic)
                page = "\n".join([page, "", f"with {first}:", *table_of(keys)])
        if not page:
            meant = nearest(topic, names_of(program, program.called(self._composed_choice(composed))))
            hint = f"; did you mean {place_of(meant)}?" if meant else ""
            raise WrongWords(f"{topic}: no such key or group{hint}")
        return page

    def _choice(self, words: Words) -> str | None:
        """The task or source that is named."""
        for word in words.settings:
            key, _, value = word.lstrip("+").partition("=")
            if key == self.program.chooser:
                return value
        return None

    def _composed_choice(self, composed: DictConfig) -> str:
        """The task that an experiment runs."""
        return self.program.chosen(composed)[self.program.chooser]

    def _help_of(self, words: Words) -> str:
        """What to type for help."""
        choice = self._choice(words)
        if choice in self.program.options(self.program.chooser):
            return self.program.called(choice)
        return self.program.command


_HYDRA = """\
Hydra's own words, with every command:
  --cfg job                 show the whole configuration, run nothing
  --info defaults           where each part of it comes from
  --multirun KEY=A,B        a run for each value; hydra/sweeper=optuna searches
  'audio="my voice.wav"'    quote what holds spaces, brackets, = or commas
  {command} --hydra-help    the rest"""
