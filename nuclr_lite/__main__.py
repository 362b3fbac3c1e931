"""From the command line, installed or not: `python -m nuclr_lite` is the command `nuclr-lite`, and
what `accelerate launch -m nuclr_lite` starts. The commands are in `commands/`.
"""

from .commands.line import main

if __name__ == "__main__":
    main()
