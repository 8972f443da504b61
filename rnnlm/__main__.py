"""`python -m rnnlm`, and therefore `torchrun -m rnnlm`."""

from rnnlm.cli import main

if __name__ == "__main__":
    main()
