"""Train several recipes, one after another, on as many processes as `torchrun` starts.

usage: train_together.py FACES HELD_OUT OUT RECIPE...

Every process saves what it got, and how far heads in shards are from whole ones.
"""

import json
import sys
from pathlib import Path

import torch
from shards_together import apart
from torch import distributed

import facelab as fl
from facelab.training.distributed import team
from facelab.training.loop import train
from facelab.training.recipe import Recipe


def main(faces: str, held_out: str, out: str, *recipes: str) -> None:
    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    for name in recipes:
        recipe = Recipe.from_yaml(name)
        other = fl.load(held_out)
        embedder = train(
            fl.load(faces),
            recipe,
            device="cpu",
            held_out=other if recipe.validate.every else None,
            meta=other if recipe.mitigate.meta_margins else None,
        )
        embedder.save(Path(out) / Path(name).stem / str(rank))
    with team("cpu") as processes:
        found = apart(processes)
    (Path(out) / f"apart-{rank}.json").write_text(json.dumps(found))
    distributed.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
