"""Mixes that can be made: what is asked for last is kept, and the rest gives way.

In: who there is, and what is wished for: shares, subjects, images of each. Out: a `Mix` that
`fl.compose` can make, and a sentence about what gave way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from facelab.errors import how_many
from facelab.faces.composition import group_counts


@dataclass(frozen=True)
class Wish:
    """What the controls ask for.

    Attributes
    ----------
    named
        Share by group, of those that were asked for; they need not add up to 1.
    subjects, images
        How many, and how many images of each.
    last
        What was asked for last and is kept: a group, "subjects" or "images"; None: even shares.
    """

    named: Mapping[str, float]
    subjects: int
    images: int
    last: str | None = None


@dataclass(frozen=True)
class Mix:
    """Shares and whole numbers of subjects by group, images of each, and what gave way."""

    shares: dict[str, float]
    counts: dict[str, int]
    images: int
    told: str = ""


class Stock:
    """Who there is: for each group, how many images each of its subjects has."""

    def __init__(self, images: Mapping[str, Sequence[int]]) -> None:
        self.images = {group: np.sort(held) for group, held in images.items()}
        self.groups = list(self.images)
        self._all = np.sort(np.concatenate(list(self.images.values())))

    def there(self, images: int) -> dict[str, int]:
        """Subjects by group with so many images or more."""
        return {
            group: len(held) - int(np.searchsorted(held, images))
            for group, held in self.images.items()
        }

    def mix(self, wish: Wish) -> Mix:
        """The mix nearest to a wish that can be made."""
        if wish.last == "subjects":
            return self._with_subjects(wish)
        images, who = self._images(wish)
        there = self.there(images)
        shares = spread(wish.named, wish.last, there)
        counts, short = most(shares, wish.subjects, there)
        told = ""
        if images < wish.images:
            told = f"{_of_each(images, wish)}: nobody of {who} has more. "
        if short is not None:
            told += (
                f"{how_many(sum(counts.values()), 'subject')} instead of {wish.subjects:,}: there "
                f"{'is' if there[short] == 1 else 'are'} {there[short]:,} of {short} with at least "
                f"{how_many(images, 'image')}."
            )
        return Mix(shares, counts, images, told.strip())

    def _images(self, wish: Wish) -> tuple[int, str]:
        """How many images of each there can be where shares are kept, and who has no more."""
        limits = [(wish.images, "")]
        if wish.last in self.groups:
            share, own = wish.named[wish.last], self.images[wish.last]
            others = [held[-1] for group, held in self.images.items() if group != wish.last]
            if share > 0:
                limits.append((int(own[-1]), wish.last))
            if share < 1 and others:
                limits.append((int(max(others)), "the others"))
        return min(limits, key=lambda limit: limit[0])

    def _with_subjects(self, wish: Wish) -> Mix:
        """So many subjects: shares give way, and images where there are too few people."""
        images = min(wish.images, int(self._all[-wish.subjects]))
        there = self.there(images)
        shares = spread(wish.named, None, there)
        counts = filled(shares, wish.subjects, there)
        told = ""
        if images < wish.images:
            told = f"{_of_each(images, wish)}: fewer than {wish.subjects:,} subjects have more. "
        if counts != group_counts(self.groups, shares, wish.subjects):
            short = [group for group in self.groups if counts[group] == there[group]]
            told += f"Other shares: all of {_listed(short)} are taken."
            shares = {group: count / wish.subjects for group, count in counts.items()}
        return Mix(shares, counts, images, told.strip())


def spread(
    named: Mapping[str, float], last: str | None, there: Mapping[str, int]
) -> dict[str, float]:
    """Shares that add up to 1: the last as asked for, others that are named as far as there is
    room, and what is left evenly to the rest. Groups of which nobody is there get nothing."""
    shares = dict.fromkeys(there, 0.0)
    kept = named.get(last, 0.0) if last in shares else 0.0
    others = [group for group in there if there[group] and group != last]
    if not others:
        return shares | {group: 1.0 for group in there if there[group]}
    if kept:
        shares[last] = kept
    left = 1 - kept
    wanted = {group: named[group] for group in others if group in named}
    free = [group for group in others if group not in named]
    asked = sum(wanted.values())
    if asked > left or not free:
        even = {group: left / len(others) for group in others}
        wanted = {g: left * share / asked for g, share in wanted.items()} if asked else even
    shares |= wanted
    rest = max(left - sum(wanted.values()), 0.0)
    return shares | {group: rest / len(free) for group in free}


def most(
    shares: dict[str, float], subjects: int, there: Mapping[str, int]
) -> tuple[dict[str, int], str | None]:
    """As many subjects as there are for these shares, and the group that allows no more."""
    groups, short = list(shares), None
    # Rounding gives a group at most one subject more than its share.
    ends = [int((there[group] + 1) / share) for group, share in shares.items() if share]
    for number in range(min([subjects, *ends]), 0, -1):
        counts = group_counts(groups, shares, number)
        over = [group for group in groups if counts[group] > there[group]]
        if not over:
            break
        short = over[0]
    if number < subjects and short is None:
        short = min((g for g in groups if shares[g]), key=lambda g: there[g] / shares[g])
    return counts, short


def filled(shares: dict[str, float], subjects: int, there: Mapping[str, int]) -> dict[str, int]:
    """So many subjects in these shares; where a group has too few, the others fill up."""
    counts, open_ = {}, list(shares)
    while True:
        asked = sum(shares[group] for group in open_)
        wanted = {group: shares[group] / asked for group in open_} if asked else None
        counts_now = group_counts(open_, wanted, subjects - sum(counts.values()))
        over = [group for group in open_ if counts_now[group] > there[group]]
        if not over:
            return {group: (counts | counts_now)[group] for group in shares}
        counts |= {group: there[group] for group in over}
        open_ = [group for group in open_ if group not in over]


def _of_each(images: int, wish: Wish) -> str:
    return f"{how_many(images, 'image')} of each instead of {wish.images:,}"


def _listed(groups: list[str]) -> str:
    return groups[0] if len(groups) == 1 else f"{', '.join(groups[:-1])} and {groups[-1]}"
