"""`python -m facelab`: the command, for launchers that take a module, such as torchrun."""

import os

PARENT = os.getppid()

if __name__ == "__main__":
    if "TORCHELASTIC_RUN_ID" in os.environ:
        # What torchrun starts goes on without it; before the imports, or it is gone meanwhile.
        from facelab.workers import end_with

        end_with(PARENT)

    from facelab.cli.app import main

    main()
