"""``python -m ceco3d`` (or ``ceco3d``): the list of commands; ``ceco3d COMMAND ...`` runs one."""

import difflib
import runpy
import sys

import ceco3d
from ceco3d.cli.streams import open_streams

COMMANDS = {
    "train": "train a network; generates its data when there is none",
    "pretrain": "pretrain a network: CSC or LGround",
    "preprocess": "raw ScanNet scenes to processed ones",
    "evaluate": "score a checkpoint: head / common / tail and per-class IoU",
    "diagnose": "what the rare classes lack: data, time or balance",
    "export": "write a benchmark submission",
    "predict": "label your own scans",
    "serve": "label scans in the browser",
    "visualize": "pictures of segmentations and runs, and a viewer",
    "benchmark": "time the engines side by side, or the data path",
    "report": "report of a run, tables of finished runs",
    "doctor": "what is installed and works on this machine",
}


def main() -> None:
    """Run the command named first, or list them all (exit code 2 when the name is unknown)."""
    open_streams()
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in COMMANDS:
        sys.argv = [f"ceco3d {name}", *sys.argv[2:]]
        runpy.run_module(f"ceco3d.{name}", run_name="__main__")
    elif name == "--version":
        print(f"ceco3d {ceco3d.__version__}")
    elif name in ("--help", "-h", "help"):
        print("usage: python -m ceco3d COMMAND [key=value ...]   (COMMAND --help explains)\n")
        for command, purpose in COMMANDS.items():
            print(f"  {command:11} {purpose}")
    else:
        close = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {close[0]}?" if close else f"choose {', '.join(COMMANDS)}"
        print(f"error: unknown command {name!r}; {hint}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
