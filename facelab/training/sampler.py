"""Which images make a batch.

In: every image's subject and group as numbers, a recipe. Out: the row numbers of any batch, worked
out from the seed and the step alone: there is no state to lose, and any number of processes agree
on every batch without a word.
"""

import numpy as np

from facelab.errors import BadInput


class Sampler:
    """Passes over the images, cut into batches.

    Every pass has as many images as the FaceSet. A group's share of it goes with its images to the
    power `group_power`, a subject's share of its group with its images to the power
    `subject_power`: 1 is as in the data, 0 is equal shares, what lies between is a compromise. With
    both at 1 a pass shows every image once. Shares are kept by systematic sampling, so that in
    every pass a subject comes as often as its share says, rounded down or up by chance; within a
    pass its own images take turns.

    Parameters
    ----------
    labels
        int (N,): the subject of every image, 0 upwards.
    groups
        int (N,): the group of every image, 0 upwards, constant within subjects; None is one group.
    batch
        Images a batch.
    together
        Images of a subject that come into a batch together; `batch` is a multiple.
    group_power, subject_power
        As above.
    seed
        Of all choices.

    Attributes
    ----------
    shares
        float (groups,): each group's share of the batches, sum 1.

    Raises
    ------
    BadInput
        A subject has fewer than `together` images, or stands in two groups.
    """

    def __init__(
        self,
        labels: np.ndarray,
        groups: np.ndarray | None,
        batch: int,
        together: int = 1,
        group_power: float = 1.0,
        subject_power: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.batch_size, self.together, self.seed = batch, together, seed
        self.images = np.bincount(labels)
        self.order = np.argsort(labels, kind="stable")
        if self.images.min() < together:
            raise BadInput(
                f"a subject has only {self.images.min()} of the {together} images that come "
                "together: lower `together` or leave out who has fewer"
            )
        group = np.zeros(len(self.images), np.int64)
        if groups is not None:
            group[labels] = groups
            if (group[labels] != groups).any():
                raise BadInput("a subject stands in two groups: repair its labels before training")
        self.sets = max(1, len(labels) // together)
        shares = _shares(self.images, group, group_power, subject_power)
        self.due = self.sets * shares
        self.shares = np.bincount(group, shares)
        self._pass = (-1, np.empty(0, np.int64))

    def batch(self, step: int) -> np.ndarray:
        """The rows of the batch at a step from 0, int (batch,)."""
        length = self.sets * self.together
        position, stop = step * self.batch_size, (step + 1) * self.batch_size
        parts = []
        while position < stop:
            number, start = divmod(position, length)
            parts.append(self._rows(number)[start : start + stop - position])
            position += len(parts[-1])
        return np.concatenate(parts)

    def _rows(self, number: int) -> np.ndarray:
        """One whole pass; the latest is kept."""
        kept = self._pass
        if kept[0] != number:  # a thread that reads ahead may be in another pass
            kept = (number, self._draw(np.random.default_rng((self.seed, number))))
            self._pass = kept
        return kept[1]

    def _draw(self, rng: np.random.Generator) -> np.ndarray:
        # Systematic sampling over the subjects in random order: whole numbers that differ from
        # what is due by less than one, with the right mean.
        shuffled = rng.permutation(len(self.due))
        due = np.cumsum(self.due[shuffled]).round(6)
        # Rounding in long sums must not make a pass longer or shorter.
        due[-1] = self.sets
        edges = np.floor(np.minimum(due, self.sets) + rng.random())
        wanted = np.empty(len(self.due), np.int64)
        wanted[shuffled] = np.diff(edges, prepend=0).astype(np.int64)

        # Turns: each subject's images in a random order, as often as its sets need them; a turn
        # gives whole sets only, so that a set never holds an image twice.
        a_turn = self.images // self.together
        turns = -(-wanted // a_turn)
        subject = np.repeat(np.arange(len(turns)), turns)
        sizes = self.images[subject]
        turn = np.repeat(np.arange(len(subject)), sizes)
        within = np.arange(len(turn)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        starts = np.cumsum(self.images) - self.images
        rows = self.order[starts[subject][turn] + within]
        rows = rows[np.argsort(turn + rng.random(len(rows)))]
        whole = (a_turn * self.together)[subject][turn]
        sets = rows[within < whole].reshape(-1, self.together)

        # Of the last turn only as many sets as are still wanted.
        owner = np.repeat(subject, a_turn[subject])
        made = turns * a_turn
        place = np.arange(len(owner)) - (np.cumsum(made) - made)[owner]
        return rng.permutation(sets[place < wanted[owner]]).ravel()


def _shares(
    images: np.ndarray, group: np.ndarray, group_power: float, subject_power: float
) -> np.ndarray:
    """Every subject's share of the batches, (subjects,), sum 1."""
    by_group = np.bincount(group, images)
    of_groups = np.where(by_group > 0, by_group, 1.0) ** group_power * (by_group > 0)
    of_groups /= of_groups.sum()
    of_subjects = images.astype(float) ** subject_power
    return of_groups[group] * of_subjects / np.bincount(group, of_subjects)[group]
