"""`python -m stackbench`."""

from stackbench.cli import main

if __name__ == "__main__":
    main()
