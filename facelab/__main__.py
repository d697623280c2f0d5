"""`python -m facelab`: the command, for launchers that take a module, such as torchrun."""

from facelab.cli.app import main

if __name__ == "__main__":
    main()
