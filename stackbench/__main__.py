"""`python -m stackbench`."""

from stackbench.cli import program

if __name__ == "__main__":
    program()
