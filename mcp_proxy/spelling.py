"""The names nearest to a word that is none of them: what somebody who mistyped one may have meant.

Every "Did you mean" of the program is made here, whether it is told at a terminal or over HTTP.
"""

from collections.abc import Iterable, Sequence

LONGEST_WORD = 128
"""Characters of it that are compared; comparing takes time with the square of them."""

AT_MOST = 3
NEAR = 0.65
"""Likeness, as difflib measures it, from which one name may have been meant by another.

Two letters of three that were exchanged are just above it: `zhs` for `zsh`.
"""


def alike(word: str, known: Iterable[str], *, cutoff: float = NEAR) -> tuple[str, ...]:
    """At most three of the known names, the likest first, then those that the word begins."""
    # Not at the top: almost every run of the program ends without a mistake.
    from difflib import get_close_matches

    meant = word[:LONGEST_WORD].casefold()
    by_fold = {name.casefold(): name for name in sorted(known)}
    like = get_close_matches(meant, list(by_fold), n=AT_MOST, cutoff=cutoff)
    begun = [each for each in by_fold if meant and each.startswith(meant)]
    return tuple(by_fold[each] for each in dict.fromkeys((*like, *begun)))[:AT_MOST]


def suggestion(names: Sequence[str]) -> str:
    """` Did you mean a, b or c?`, to go behind a sentence; empty without a name."""
    if not names:
        return ""
    *others, last = names
    return f" Did you mean {', '.join(others)}{' or ' if others else ''}{last}?"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The suggestion for a word that is not known; empty when nothing is near."""
    return suggestion(alike(word, known))
