"""Shares and means of faces by group, with intervals over the people who are shown.

In: whose each face is, which column it counts in, and whether it is a hit or what it measures. Out:
one row a column. People are independent of each other, the faces of one person are not.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from facelab.rates.counts import lifted
from facelab.rates.intervals import Sums
from facelab.rates.persons import interval_of_tries, limits_of_people


class Places(NamedTuple):
    """Which rows of a table count in which column: everybody in the first, then the groups."""

    row: np.ndarray
    column: np.ndarray
    names: list[str]

    @classmethod
    def of(cls, codes: np.ndarray, groups: Sequence[str]) -> "Places":
        """From each row's group, -1 where it has none."""
        inside = np.flatnonzero(codes >= 0)
        row = np.concatenate([np.arange(len(codes)), inside])
        column = np.concatenate([np.zeros(len(codes), np.int64), codes[inside] + 1])
        return cls(row, column, ["all", *groups])


class Shares(NamedTuple):
    """Of each column: faces, hits, their share with its interval, people, and what they tell."""

    sums: Sums
    low: np.ndarray
    high: np.ndarray
    subjects: np.ndarray
    squares: np.ndarray  # sums of squared faces over people

    def limits(self, confidence: float) -> tuple[np.ndarray, np.ndarray]:
        """Both ends at another confidence."""
        return limits_of_people(self.sums, self.squares, confidence)

    @property
    def rate(self) -> np.ndarray:
        """Hits over faces; NaN where there are none."""
        return self.sums.rate

    @property
    def effective(self) -> np.ndarray:
        """How many independent faces would tell as much; the first column is everybody's."""
        parts = (slice(0, 1), slice(1, None))
        return np.concatenate([Sums(*(one[part] for one in self.sums)).number for part in parts])

    def columns(self, name: str) -> dict[str, np.ndarray]:
        """The share and both ends of its interval, as columns of a table."""
        return {name: self.rate, f"{name}_low": self.low, f"{name}_high": self.high}


class People(NamedTuple):
    """The people of each of `size` columns, of whom much is counted: one entry a person and column.

    `column` is the column of an entry, `row` the entry of each row, `faces` how many rows it has.
    """

    column: np.ndarray
    row: np.ndarray
    faces: np.ndarray
    size: int

    @classmethod
    def of(cls, subject: np.ndarray, column: np.ndarray, size: int) -> "People":
        """From whose face each row is, and which column it counts in."""
        keys, row = np.unique(subject.astype(np.int64) * size + column, return_inverse=True)
        faces = np.bincount(row, minlength=len(keys)).astype(np.float64)
        return cls(keys % size, row, faces, size)

    def count(self, value: np.ndarray) -> np.ndarray:
        """The sum of a value of the rows, by entry; of truth values how many are true."""
        return np.bincount(self.row, value, minlength=len(self.column))

    def shares(self, tries: np.ndarray, hits: np.ndarray, confidence: float) -> Shares:
        """The share of hits among tries in each column, both by entry; without a try nobody."""
        there = tries > 0
        who, tries, hits = (one[there] for one in (self.column, tries, hits))
        sums, low, high = interval_of_tries(tries, hits, who, self.size, confidence)
        squares = np.bincount(who, tries**2, minlength=self.size)
        return Shares(sums, low, high, np.bincount(who, minlength=self.size), squares)


def shares(
    subject: np.ndarray, column: np.ndarray, hit: np.ndarray, size: int, confidence: float
) -> Shares:
    """The share of hits in each of `size` columns.

    Parameters
    ----------
    subject
        Int (n,): whose face it is.
    column
        Int (n,): which column a face counts in; it may stand in the table for several.
    hit
        Bool (n,).
    size
        Number of columns.
    confidence
        Of the intervals, see `facelab.rates.persons.interval_of_people`.
    """
    people = People.of(subject, column, size)
    return people.shares(people.faces, people.count(hit), confidence)


class Means(NamedTuple):
    """Of each column: faces, the mean with its interval, its standard error and freedom, people."""

    count: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    error: np.ndarray
    freedom: np.ndarray
    subjects: np.ndarray

    def columns(self, name: str) -> dict[str, np.ndarray]:
        """The mean and both ends of its interval, as columns of a table."""
        return {name: self.mean, f"{name}_low": self.low, f"{name}_high": self.high}


def means(
    subject: np.ndarray, column: np.ndarray, value: np.ndarray, size: int, confidence: float
) -> Means:
    """The mean of a value in each column, with Student's interval of a ratio over people.

    The variance is that of sums over people, leverage-corrected as a jackknife has it; degrees of
    freedom are the effective number of people less one. With one person there is no interval.
    """
    people = People.of(subject, column, size)
    who, count, total = people.column, people.faces, people.count(value)
    n = np.bincount(who, count, minlength=size)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(who, total, minlength=size) / np.where(n > 0, n, np.nan)
        residual = lifted(total - mean[who] * count, count / n[who])
        error = np.sqrt(np.bincount(who, residual**2, minlength=size)) / n
        freedom = n**2 / np.bincount(who, count**2, minlength=size) - 1
    subjects = np.bincount(who, minlength=size)
    error = np.where(subjects > 1, error, np.nan)
    half = stdtrit(np.maximum(freedom, 1), (1 + confidence) / 2) * error
    return Means(n.astype(np.int64), mean, mean - half, mean + half, error, freedom, subjects)


def with_columns(names: Sequence[str], **columns: np.ndarray) -> pd.DataFrame:
    """A table with a row a group."""
    return pd.DataFrame({"group": list(names), **columns})
