"""Every picture by its name: what `facelab.plots` offers.

In: FaceSets, histories, comparisons, tables of rates. Out: one figure a call, which shows itself in
a notebook and carries a text (`alt`) for those who cannot see it.
"""

from facelab.figures.arms import arm_changes, arm_shares
from facelab.figures.audits import audit_figure, changes, cross_group, disparity, error_rates
from facelab.figures.curves import det_curves, threshold_sweep
from facelab.figures.effects import twin_contrasts, twin_effects, twin_effects_by_group
from facelab.figures.grouping import grouping_by_group, grouping_over_thresholds
from facelab.figures.people import (
    apparent_tones,
    composition,
    contact_sheet,
    highest_scores,
    images_per_subject,
    measures_by_group,
    rows_of_images,
)
from facelab.figures.probes import probe_errors, probe_sheet, refusing
from facelab.figures.rankings import rank_agreement, rank_changes, rate_profiles, rates_of_systems
from facelab.figures.scores import score_distributions
from facelab.figures.search import (
    gallery_growth,
    mixes,
    search_curves,
    search_rates,
    shares_and_rates,
    sweep_by_group,
)
from facelab.figures.sheets import capture_sheet, twins_sheet
from facelab.figures.simulation import coverage
from facelab.figures.speed import search_recall, search_speed
from facelab.figures.summary import summary_figure
from facelab.figures.sweeps import sweep
from facelab.figures.training import training_curves

__all__ = [
    "apparent_tones",
    "arm_changes",
    "arm_shares",
    "audit_figure",
    "capture_sheet",
    "changes",
    "composition",
    "contact_sheet",
    "coverage",
    "cross_group",
    "det_curves",
    "disparity",
    "error_rates",
    "gallery_growth",
    "grouping_by_group",
    "grouping_over_thresholds",
    "highest_scores",
    "images_per_subject",
    "measures_by_group",
    "mixes",
    "probe_errors",
    "probe_sheet",
    "rank_agreement",
    "rank_changes",
    "rate_profiles",
    "rates_of_systems",
    "refusing",
    "rows_of_images",
    "score_distributions",
    "search_curves",
    "search_rates",
    "search_recall",
    "search_speed",
    "shares_and_rates",
    "summary_figure",
    "sweep",
    "sweep_by_group",
    "threshold_sweep",
    "training_curves",
    "twin_contrasts",
    "twin_effects",
    "twin_effects_by_group",
    "twins_sheet",
]
