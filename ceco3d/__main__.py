"""``python -m ceco3d`` (or ``ceco3d``): the list of commands; ``ceco3d COMMAND ...`` runs one."""

import runpy
import sys

COMMANDS = {
    "train": "train a network; generates its data when there is none",
    "pretrain": "pretrain a network: CSC or LGround",
    "preprocess": "raw ScanNet scenes to processed ones",
    "evaluate": "score a checkpoint: head / common / tail and per-class IoU",
    "export": "write a benchmark submission",
    "predict": "label your own scans",
    "visualize": "pictures of segmentations and runs, and a viewer",
    "benchmark": "time the engines side by side, or the data path",
    "report": "report of a run, tables of finished runs",
    "doctor": "what is installed and works on this machine",
}


def main() -> None:
    """Run the command named first, or list them all (exit code 2 when the name is unknown)."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in COMMANDS:
        sys.argv = [f"ceco3d {name}", *sys.argv[2:]]
        runpy.run_module(f"ceco3d.{name}", run_name="__main__")
        return
    print("usage: python -m ceco3d COMMAND [key=value ...]   (COMMAND --help explains)\n")
    for command, purpose in COMMANDS.items():
        print(f"  {command:11} {purpose}")
    if name not in ("--help", "-h", "help"):
        print(f"\nerror: unknown command {name!r}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
