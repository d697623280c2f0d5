"""What dlib's predictor sees on rendered heads: its offsets from the points chosen by hand.

In: dlib's 68-point predictor and the renderer. Out: `offsets.npz`, and the landmarks of neutral
frontal heads, by the predictor and by the points.

Run: python -m facelab.synthetic.baking.rendered
"""

import argparse
from pathlib import Path

import numpy as np

from facelab.synthetic.baking.landmarks import MIRRORED
from facelab.synthetic.baking.points import points_of
from facelab.synthetic.capture import build_capture, capture_values
from facelab.synthetic.head import load_head
from facelab.synthetic.parameters import GROUPS
from facelab.synthetic.population import Population
from facelab.synthetic.render import (
    PIXELS_A_DM_WHOLE,
    build_model,
    on_screen,
    posed,
    render,
)
from facelab.synthetic.subjects import build_subject, subject_stream, subject_values

OFFSETS_FILE = Path(__file__).with_name("offsets.npz")
SIDE = 448
# Heads that look straight ahead, at rest, in even light, with nothing before the face.
CALM = {
    **dict.fromkeys(("yaw", "pitch", "roll", "tilt", "shift_x", "shift_y", "exposure"), 0),
    **dict.fromkeys(("restless", "mouth_open", "blink", "gaze_right", "gaze_up"), 0),
    **dict.fromkeys(("beard", "stubble", "lipstick_habit", "hairline", "fill_strength"), 0),
    **dict.fromkeys(("focus_blur", "motion_blur"), 0),
    "balding": -3,
    "distance": 11,
    "light_azimuth": {"normal": [0, 15]},
    "light_elevation": {"normal": [20, 8]},
    "light_strength": 0.85,
    "light_size": 0.9,
    "ambient": 0.6,
    "metering": 0.8,
    "expression": "neutral",
    "lids": 0.03,
    "glasses": "none",
    "headwear": "none",
    "zoom": 1,
    "background": "plain",
    "noise": 0.004,
    "jpeg_quality": 95,
    "hair_style": {"choice": {"cropped": 0.5, "short01": 0.2, "short03": 0.3}},
}


def neutral_heads(
    count: int, seed: int = 5, given: dict | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (N, 68, 2) of rendered heads, evenly over groups: by dlib's predictor, by points.

    Both in dm at the eyes; a head that dlib does not find is left out.
    """
    import dlib

    from facelab.photos.dlib import model_file

    find = dlib.get_frontal_face_detector()
    predict = dlib.shape_predictor(model_file("shape_predictor_68_face_landmarks.dat"))
    head, population = load_head(), Population(CALM | (given or {}))
    predicted, pointed = [], []
    for number in range(count):
        group = GROUPS[number % len(GROUPS)]
        values = subject_values(seed, number, group, head, population)
        subject = build_subject("", *group.split("/"), values)
        model, stream = build_model(subject, head), subject_stream(seed, number, 1, 0)
        capture = build_capture(capture_values(stream, group, population), head)
        picture = render(model, capture, head, SIDE, stream, frame="full")
        boxes, scores, _ = find.run(picture, 0, -0.3)
        if not len(boxes):
            continue
        found = predict(picture, boxes[int(np.argmax(scores))])
        predicted.append([(point.x + 0.5, point.y + 0.5) for point in found.parts()])
        worn = model.dressed("none", "none")
        screen = on_screen(worn, posed(worn, capture, head), capture, head, SIDE, "full") / 2
        scale = PIXELS_A_DM_WHOLE * SIDE / 112
        middle = np.array([SIDE / 2, 0])
        pointed.append(points_of((screen[:, :2] - middle) / scale, subject.brow))
        predicted[-1] = (np.array(predicted[-1]) - middle) / scale
    return np.array(predicted), np.array(pointed)


def bake(out: Path = OFFSETS_FILE, count: int = 240) -> Path:
    """Write how far off its point the predictor sees each landmark, in dm: right and down."""
    predicted, pointed = neutral_heads(count, seed=31)
    offsets = (predicted - pointed).mean(0)
    offsets = (offsets + offsets[MIRRORED] * [-1, 1]) / 2
    np.savez_compressed(out, offsets=offsets.astype(np.float32))
    return out


def main() -> None:
    """Command line: python -m facelab.synthetic.baking.rendered [--out FILE]."""
    parser = argparse.ArgumentParser(description=bake.__doc__)
    parser.add_argument("--out", type=Path, default=OFFSETS_FILE)
    print(bake(parser.parse_args().out))


if __name__ == "__main__":
    main()
