"""`python -m benchmarks [NAME]`: runs one benchmark, or all of them."""

import argparse
import importlib
import sys

NAMES = {
    "refresh": "seconds and peak memory per stage, 10,000 and 100,000 generated customers",
    "cleaning": "ingest and clean of 1 and 10 million rows against pandas, a small delivery, no rules",
    "conservation": "every record of a world of 100,000 customers and of the examples accounted for, batch by batch",
    "truth": "what the stages find of what a generator of 20,000 customers knows",
    "examples": "the three example companies on their real files",
    "scoring": "scoring on a processor against the usual pipeline and ONNX Runtime by hand, CPU time of one thread",
    "training": "fine-tuning on a processor against the loop of the tutorials, CPU time of one thread",
    "gpu": "BERT-base on a GPU: scoring and fine-tuning as a share of the card's matrix speed",
    "sharding": "texts of silver to a shard set, against tokenising them and nothing else",
    "shards": "petastorm against a direct reader, as a share of a training step",
}


class Skipped(Exception):
    """A benchmark that cannot run here, and why."""


def main() -> int:
    """Runs what was asked for; 0 when nothing failed."""
    listed = "\n".join(f"  {name:<10} {doc}" for name, doc in NAMES.items())
    parser = argparse.ArgumentParser(
        description=f"{__doc__}\n\n{listed}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", choices=[*NAMES, []], default=[], metavar="NAME")
    parser.add_argument("--customers", type=int, nargs="*", help="sizes, where the benchmark has any")
    parser.add_argument("--data", help="folder of the examples' files")
    arguments = parser.parse_args()
    from benchmarks.figures import publish

    for name in [arguments.name] if arguments.name else NAMES:
        try:
            figures = importlib.import_module(f"benchmarks.{name}").run(arguments)
        except Skipped as reason:
            print(f"{name}: not run: {reason}", file=sys.stderr)
            continue
        print(f"written to {publish(name, figures)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
