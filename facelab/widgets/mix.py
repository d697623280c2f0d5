"""The mix composer: who is in the training data, by sliders, and a button that trains on it.

In: a FaceSet and what to group by. Out: a composed FaceSet, and an embedder when trained.
"""

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import pandas as pd

from facelab.arguments import as_annotated
from facelab.errors import BadInput, Stopped, how_many
from facelab.faces.choosing import compose
from facelab.faces.composition import group_counts
from facelab.faces.faceset import FaceSet
from facelab.faces.groups import group_labels
from facelab.figures.style import Picture, colours
from facelab.widgets import drawing
from facelab.widgets.dial import Dial, numbers
from facelab.widgets.feasible import Stock, Wish, spread
from facelab.widgets.monitor import TrainingMonitor

if TYPE_CHECKING:
    from facelab.embedders.trained import TrainedEmbedder
    from facelab.training.recipe import Recipe

_FEWEST = 2  # subjects: one alone is nobody to be told from
_BARS = 260  # px for the group that has most subjects


@as_annotated
def mix_composer(
    faces: FaceSet,
    by: str | list[str],
    recipe: "Recipe | None" = None,
    held_out: FaceSet | None = None,
    subjects: int | None = None,
    images_per_subject: int | None = None,
    seed: int = 0,
    **options: Any,
) -> "MixComposer":
    """Choose shares by group with sliders; a button trains on the mix and shows how it goes.

    A group whose slider was moved is named, as in `fl.compose`; the others share what is left.
    Every position is a mix that can be made: what was moved last is kept, and where there are too
    few people for it, the rest gives way, in a sentence; it comes back when there is room again.

    Parameters
    ----------
    faces
        Where subjects are drawn from.
    by
        Group column or columns, constant within a subject.
    recipe, held_out
        For `fl.train`; without `held_out` no error rates are seen during training.
    subjects, images_per_subject
        What is wished for at the start; None is half of the subjects, and as many images as half
        of the subjects have.
    seed
        Of the draw.
    **options
        More for `fl.train`, such as `checkpoints` or `device`.

    Returns
    -------
    MixComposer
        `.value` holds shares and counts, and what gave way; `.faces` is the composed FaceSet,
        `.embedder` what the button trained.

    Raises
    ------
    BadInput
        An unknown column, no groups, or a subject in more than one group.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(24, 3, size=32)
    >>> composer = fl.widgets.mix_composer(faces, "gender", subjects=10, images_per_subject=2)
    >>> composer.sliders["male"].value = 80  # what the mouse does
    >>> composer.value["counts"], composer.faces.composition("gender")["subjects"].to_dict()
    ({'female': 2, 'male': 8}, {'female': 2, 'male': 8})
    """
    labels = group_labels(faces.table, by)
    if not len(labels.cat.categories):
        raise BadInput(f"no image has a {labels.name} label: there is nothing to mix")
    start = (subjects, images_per_subject)
    composer = MixComposer(faces, by, recipe, held_out, start, seed, options)
    if composer.refused:
        raise BadInput(composer.refused)
    return composer


class MixComposer(Dial):
    """See `mix_composer`.

    A move takes about 40 ms here with 6,000 faces: it composes the set.

    Attributes
    ----------
    sliders
        Percent of the subjects by group, whole ones.
    subjects, images
        How many, and how many images of each.
    mix
        The shares and whole numbers that are taken.
    monitor
        A `TrainingMonitor`, shown once training begins.
    error
        Why a training failed, or None.
    thread
        The training, while it runs; the kernel stays free.
    """

    def __init__(
        self,
        faces: FaceSet,
        by: str | list[str],
        recipe: "Recipe | None",
        held_out: FaceSet | None,
        start: tuple[int | None, int | None],
        seed: int,
        options: dict[str, Any],
    ) -> None:
        super().__init__()
        self._source, self._by, self._seed = faces, by, seed
        self._train = {"recipe": recipe, "held_out": held_out, **options}
        labels = group_labels(faces.table, by)
        known = labels.notna().to_numpy()
        held = faces.table[known].groupby("subject", observed=True).size()
        one_each = faces.table[known].drop_duplicates("subject")
        group_of = labels[one_each.index].astype(str).set_axis(one_each["subject"])
        by_group = {str(g): held[group_of.index[group_of == g]] for g in labels.cat.categories}
        self._stock = Stock({group: there for group, there in by_group.items() if len(there)})
        self.groups = self._stock.groups
        self.embedder: TrainedEmbedder | None = None
        self.faces: FaceSet | None = None
        self.error: Exception | None = None
        self.thread: threading.Thread | None = None

        half = max(len(self.groups), len(held) // 2)
        typical = max(1, int(held.median()))
        subjects, images = (min(start[0] or half, len(held)), min(start[1] or typical, held.max()))
        self.subjects = numbers(min(_FEWEST, len(held)), len(held), subjects, "Subjects")
        self.images = numbers(1, int(held.max()), int(images), "Images of each")
        # Whole percents: a browser sends fractions back rounded, perhaps after they have changed.
        # Of a group of one, half: a mix is of two people or more.
        most = {group: 100 if len(by_group[group]) >= _FEWEST else 50 for group in self.groups}
        if len(self.groups) == 1:
            most = dict.fromkeys(most, 100)
        self.sliders = {g: numbers(0, most[g], 0, f"{g}, %") for g in self.groups}
        for one in self.sliders.values():
            one.disabled = len(self.groups) == 1
        self._controls = {**self.sliders, "subjects": self.subjects, "images": self.images}
        self._setting = False
        for name, one in self._controls.items():
            one.observe(lambda change, name=name: self._turned(name, change["new"]), "value")
        self.even = ipw.Button(description="Balanced", tooltip="The same share for every group")
        self.even.on_click(lambda _: self.balance())
        self.button = ipw.Button(
            description="Train on this mix", icon="play", button_style="primary"
        )
        self.button.on_click(lambda _: self.train())
        self.monitor = TrainingMonitor()
        self.monitor.view.layout.display = "none"
        buttons = ipw.HBox([self.even, self.button])
        self._settle(Wish({}, int(subjects), int(images)))
        self.show(*self.sliders.values(), self.subjects, self.images, buttons)
        self.view.children = (*self.view.children, self.monitor.view)

    # ---- the mix

    def _turned(self, name: str, value: float) -> None:
        """The user turned a control: what we set one to is not taken for a wish."""
        if self._setting:
            return
        wish = self._wish
        if name in self.sliders:
            # Shares that gave way to the subjects are those that the user saw, and goes on from.
            named = wish.named if wish.last != "subjects" else self._shown()
            wish = replace(wish, named={**named, name: value / 100}, last=name)
        elif name == "subjects":
            wish = replace(wish, subjects=int(value), last=name)
        else:
            wish = replace(wish, images=int(value), last=name)
        self._go(wish)

    def _shown(self) -> dict[str, float]:
        """The wished shares, or where they gave way those of everybody taken."""
        mix, named = self.mix, self._wish.named
        exact = spread(named, None, self._stock.there(mix.images))
        return dict(named) if mix.shares == exact else dict(mix.shares)

    def _go(self, wish: Wish) -> None:
        self._settle(wish)
        self.move()

    def _settle(self, wish: Wish) -> None:
        """Find the mix, and let the controls follow: that which was turned is where it belongs."""
        self._wish, self.mix = wish, self._stock.mix(wish)
        if sum(self.mix.counts.values()) < _FEWEST:  # the share gives way to a second one
            self.mix = self._stock.mix(replace(wish, subjects=self.subjects.min, last="subjects"))
        stand = group_counts(self.groups, self.mix.shares, 100)
        stand |= {"subjects": sum(self.mix.counts.values()), "images": self.mix.images}
        self._setting = True
        for name, value in stand.items():
            self._controls[name].value = value
        self._setting = False

    def balance(self) -> None:
        """The same share for every group."""
        self._go(replace(self._wish, named={}, last=None))

    def move(self, change: Any = None) -> None:
        super().move(change)
        if not self.refused:
            self.say(self.mix.told, alarm=False)
        self.button.disabled = self.faces is None or self._running

    @property
    def _running(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def available(self) -> pd.DataFrame:
        """Index `group`; `subjects` with images enough, `images` of theirs."""
        least = self.mix.images
        rows = {
            group: {
                "subjects": int((held >= least).sum()),
                "images": int(held[held >= least].sum()),
            }
            for group, held in self._stock.images.items()
        }
        return pd.DataFrame.from_dict(rows, "index").rename_axis("group")

    @property
    def value(self) -> dict[str, Any]:
        """`shares` (those that were asked for, as they are), `subjects`, `images_per_subject`,
        `counts` by group, `available`, and `told`: what gave way for the mix to be made, or ""."""
        mix = self.mix
        return {
            "shares": {group: round(mix.shares[group], 6) for group in self._wish.named},
            "subjects": sum(mix.counts.values()),
            "images_per_subject": mix.images,
            "counts": dict(mix.counts),
            "available": self.available(),
            "told": mix.told,
        }

    def _compose(self) -> FaceSet:
        counts, every = self.mix.counts, sum(self.mix.counts.values())
        even = group_counts(self.groups, None, every)
        return compose(
            self._source,
            self._by,
            None if counts == even else {group: n / every for group, n in counts.items()},
            subjects=every,
            images_per_subject=self.mix.images,
            seed=self._seed,
        )

    def draw(self) -> tuple[str, str]:
        self.faces = None
        self.faces = self._compose()
        counts, there = self.mix.counts, self.available()
        palette, most = colours(self.groups), max(int(there["subjects"].max()), 1)
        parts = [drawing.names(self.groups)]
        for row, group in enumerate(self.groups):
            y = drawing.TOP + row * drawing.ROW + 3
            sizes = (there.loc[group, "subjects"], counts[group])
            for size, fill in zip(sizes, (f"{palette[group]}44", palette[group]), strict=True):
                parts.append(
                    f'<rect x="{drawing.LABELS}" y="{y}" width="{_BARS * size / most:.1f}" '
                    f'height="{drawing.ROW - 6}" fill="{fill}"/>'
                )
            x = drawing.LABELS + _BARS * max(sizes) / most + 6
            parts.append(
                f'<text x="{x:.1f}" y="{y + 13}" font-size="11">{counts[group]} of '
                f"{sizes[0]}</text>"
            )
        title = "Subjects taken of those with images enough"
        parts.append(f'<text x="{drawing.LABELS}" y="18" font-weight="bold">{title}</text>')
        alt = "; ".join(f"{g} {counts[g]} of {there.loc[g, 'subjects']}" for g in self.groups)
        height = drawing.TOP + drawing.ROW * len(self.groups) + 6
        width = drawing.LABELS + _BARS + 110
        return drawing.svg(width, height, f"{title}: {alt}.", *parts), self._table(counts)

    def _table(self, counts: dict[str, int]) -> str:
        there, every, each = self.available(), sum(counts.values()), self.mix.images
        frame = pd.DataFrame(
            {
                "share": [drawing.percent(count / every) for count in counts.values()],
                "subjects": [f"{count:,}" for count in counts.values()],
                "available": [f"{n:,}" for n in there["subjects"]],
                "images": [f"{count * each:,}" for count in counts.values()],
                "available images": [f"{n:,}" for n in there["images"]],
            },
            index=pd.Index(list(counts), name="group"),
        )
        caption = f"{how_many(every, 'subject')} with {how_many(each, 'image')} each"
        return drawing.table_html(frame, caption)

    def still(self) -> tuple[list[Picture], str]:
        from facelab.figures import plots

        shown = self._source if self.faces is None else self.faces
        pictures = [plots.composition({"all there are": self._source, "the mix": shown}, self._by)]
        if self.monitor.step:
            more, rates = self.monitor.still()
            return [*pictures, *more], self.table.value + rates
        return pictures, self.table.value

    # ---- training

    def train(self, wait: bool = False) -> None:
        """What the button does: train on the mix, in a thread, with the monitor below.

        Parameters
        ----------
        wait
            Return when it is done.
        """
        if self.faces is None or self._running:
            return
        from facelab.training.recipe import Recipe

        recipe = self._train["recipe"] or Recipe()
        self.monitor.reset(recipe.steps)
        self.monitor.view.layout.display = ""
        self.monitor.move()
        self.button.disabled = True
        self.embedder = self.error = None
        self.thread = threading.Thread(target=self._run, args=(self.faces,), daemon=True)
        self.thread.start()
        if wait:
            self.thread.join()

    def _run(self, faces: FaceSet) -> None:
        from facelab.training.loop import train

        try:
            self.embedder = train(faces, **self._train, **self.monitor.hooks)
            self.monitor.done(self.embedder)
        except Stopped as error:
            self.monitor.say(str(error))
        except Exception as error:  # nobody waits for the thread: say here what happened
            self.error = error
            self.monitor.say(f"Training failed: {error}")
        finally:
            self.monitor.over()
            self.button.disabled = False
