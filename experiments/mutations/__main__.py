"""`python -m experiments.mutations`."""

from experiments.mutations.run import main

if __name__ == "__main__":
    main()
