"""The mix composer: who is in the training data, by sliders, and a button that trains on it.

In: a FaceSet and what to group by. Out: a composed FaceSet, and an embedder when trained.
"""

import threading
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import pandas as pd

from facelab.errors import BadInput, Stopped
from facelab.faces.choosing import compose
from facelab.faces.composition import group_counts
from facelab.faces.faceset import FaceSet
from facelab.faces.groups import group_labels
from facelab.figures.style import Picture, colours
from facelab.widgets import drawing
from facelab.widgets.dial import Dial, numbers
from facelab.widgets.monitor import TrainingMonitor

if TYPE_CHECKING:
    from facelab.embedders.trained import TrainedEmbedder
    from facelab.training.recipe import Recipe

_BARS = 260  # px for the group that has most subjects
_STEP = 1  # percent


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

    Parameters
    ----------
    faces
        Where subjects are drawn from.
    by
        Group column or columns, constant within a subject.
    recipe, held_out
        For `fl.train`; without `held_out` no error rates are seen during training.
    subjects, images_per_subject
        Where their sliders start; None is half of the subjects, and as many images as half of the
        subjects have.
    seed
        Of the draw.
    **options
        More for `fl.train`, such as `checkpoints` or `device`.

    Returns
    -------
    MixComposer
        `.value` holds shares and counts, and why a mix cannot be; `.faces` is the composed
        FaceSet, `.embedder` what the button trained.

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
    return MixComposer(faces, by, recipe, held_out, (subjects, images_per_subject), seed, options)


class MixComposer(Dial):
    """See `mix_composer`.

    A move takes about 40 ms here with 6,000 faces; it composes the set, so that what is refused
    is refused by `fl.compose`.

    Attributes
    ----------
    sliders
        Percent of the subjects by group.
    subjects, images
        How many, and how many images of each.
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
        self.groups = [str(group) for group in labels.cat.categories]
        known = labels.notna().to_numpy()
        self._images = faces.table[known].groupby("subject", observed=True).size()
        one_each = faces.table[known].drop_duplicates("subject")
        self._group_of = labels[one_each.index].astype(str).set_axis(one_each["subject"])
        self._named: dict[str, float] = {}
        self._setting = False
        self.embedder: TrainedEmbedder | None = None
        self.faces: FaceSet | None = None
        self.error: Exception | None = None
        self.thread: threading.Thread | None = None

        most = int(self._images.max())
        typical = max(1, int(self._images.median()))
        half = max(len(self.groups), len(self._images) // 2)
        self.subjects = numbers(1, len(self._images), start[0] or half, "Subjects")
        self.images = numbers(1, most, start[1] or typical, "Images of each")
        self.sliders = {group: numbers(0, 100, 0, group, step=_STEP / 10) for group in self.groups}
        for group, one in self.sliders.items():
            one.description, one.readout_format = f"{group}, %", ".1f"
            one.observe(lambda change, group=group: self._turned(group, change["new"]), "value")
        self.follow(self.subjects, self.images)
        self.even = ipw.Button(description="Balanced", tooltip="The same share for every group")
        self.even.on_click(lambda _: self.balance())
        self.button = ipw.Button(
            description="Train on this mix", icon="play", button_style="primary"
        )
        self.button.on_click(lambda _: self.train())
        self.monitor = TrainingMonitor()
        self.monitor.view.layout.display = "none"
        buttons = ipw.HBox([self.even, self.button])
        self._set_sliders()
        self.show(*self.sliders.values(), self.subjects, self.images, buttons)
        self.view.children = (*self.view.children, self.monitor.view)

    # ---- the mix

    def _turned(self, group: str, percent: float) -> None:
        if self._setting:
            return
        self._named[group] = round(percent / 100, 6)
        self._set_sliders()
        self.move()

    def _set_sliders(self) -> None:
        """Groups that are not named stand at what is left for each."""
        self._setting = True
        others = [group for group in self.groups if group not in self._named]
        left = max(1 - sum(self._named.values()), 0.0)
        for group in others:
            self.sliders[group].value = round(100 * left / len(others), 1)
        self._setting = False

    def balance(self) -> None:
        """The same share for every group."""
        self._named.clear()
        self._set_sliders()
        self.move()

    def move(self, change: Any = None) -> None:
        super().move(change)
        self.button.disabled = self.faces is None or self._running

    @property
    def _running(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def available(self) -> pd.DataFrame:
        """Index `group`; `subjects` with images enough, `images` of theirs."""
        enough = self._images[self._images >= self.images.value]
        groups = self._group_of.reindex(enough.index)
        images = enough.groupby(groups.to_numpy()).sum()
        found = pd.DataFrame({"subjects": groups.value_counts(), "images": images})
        return found.reindex(self.groups).fillna(0).astype(int).rename_axis("group")

    @property
    def value(self) -> dict[str, Any]:
        """`shares` (named ones), `subjects`, `images_per_subject`, `counts` by group, `available`
        and `refused`, the sentence that says why a mix cannot be, or ""."""
        possible = self.faces is not None
        return {
            "shares": dict(self._named),
            "subjects": self.subjects.value,
            "images_per_subject": self.images.value,
            "counts": self._counts() if possible else {},
            "available": self.available(),
            "refused": self.refused,
        }

    def _counts(self) -> dict[str, int]:
        return group_counts(self.groups, self._named, self.subjects.value)

    def _compose(self) -> FaceSet:
        return compose(
            self._source,
            self._by,
            self._named or None,
            subjects=self.subjects.value,
            images_per_subject=self.images.value,
            seed=self._seed,
        )

    def draw(self) -> tuple[str, str]:
        self.faces = None
        self.faces = self._compose()
        counts, there = self._counts(), self.available()
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
        there, every = self.available(), self.subjects.value
        frame = pd.DataFrame(
            {
                "share": [drawing.percent(count / every) for count in counts.values()],
                "subjects": [f"{count:,}" for count in counts.values()],
                "available": [f"{n:,}" for n in there["subjects"]],
                "images": [f"{count * self.images.value:,}" for count in counts.values()],
                "available images": [f"{n:,}" for n in there["images"]],
            },
            index=pd.Index(list(counts), name="group"),
        )
        caption = f"{every:,} subjects with {self.images.value} images each"
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
            self.button.disabled = False
