"""`python -m scratchvae` is the command `scratchvae`."""
import sys

from .cli.main import main

sys.exit(main())
