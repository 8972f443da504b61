"""Entry point of `python -m rnnlm`, and therefore of `torchrun -m rnnlm`."""

from rnnlm.cli import main

if __name__ == "__main__":
    main()
