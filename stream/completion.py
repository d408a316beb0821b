"""Completion of commands and options in a shell, made from the parser itself."""

import argparse
from collections.abc import Iterator

# Bash's completion, which zsh understands by bashcompinit.
BASH = """_cartwake() {{
  local words
  case "${{COMP_WORDS[1]}} ${{COMP_WORDS[2]}}" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _cartwake cartwake"""
ZSH = "autoload -Uz bashcompinit && bashcompinit"


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return what the shell has to run, for ``bash`` or ``zsh``."""
    # The longest path first: the first pattern that fits counts.
    paths = sorted(_words(parser, ()), key=lambda one: -len(one[0]))
    cases = "\n".join(
        f'    {_pattern(path)}) words="{" ".join(words)}" ;;' for path, words in paths
    )
    bash = BASH.format(cases=cases)
    return f"{ZSH}\n{bash}" if shell == "zsh" else bash


def _pattern(path: tuple[str, ...]) -> str:
    return {0: "*", 1: f'"{path[0]} "*' if path else ""}.get(len(path), f'"{" ".join(path)}"')


def _words(
    parser: argparse.ArgumentParser, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield the words that may follow each command, and each sub-command."""
    words: list[str] = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no other list of them
        words += action.option_strings or action.choices or ()
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - likewise
            for name, command in action.choices.items():
                yield from _words(command, (*path, name))
    yield path, words
