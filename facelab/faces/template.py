"""The five landmarks and the template that aligned crops lie on.

The landmarks always stand in one order: left eye, right eye, nose, left and right mouth corner,
left and right as seen in the image.
"""

import numpy as np

# The landmarks in their order, and the columns in which a table holds them in pixels of the photo.
LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
LANDMARK_COLUMNS = tuple(f"{landmark}_{axis}" for landmark in LANDMARKS for axis in "xy")
# Where ArcFace (Deng et al. 2019) puts left eye, right eye, nose tip and mouth corners (left and
# right as seen) in a crop of 112 x 112, as (x, y): what "aligned" means here.
TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
