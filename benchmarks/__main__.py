"""Run one benchmark or all: `python -m benchmarks [NAME]`."""

import argparse
import importlib
import sys

NAMES = {
    "refresh": "time and peak memory per stage for 10,000 and 100,000 generated customers",
    "nights": "sixty nightly refreshes of 20,000 generated customers, with faults, against one load of everything",
    "commits": "cost of a small write over 500 batches to one table",
    "cleaning": "ingest and clean of 1 and 10 million rows compared with pandas; small delivery; no rules",
    "conservation": "reconciliation of every record of 100,000 generated customers and of the examples, by batch",
    "truth": "results of the stages compared with the ground truth of 20,000 generated customers",
    "examples": "the three example companies on their real files",
    "identity": "clusters of people who were written down badly, beside plain Splink; FEBRL with --data",
    "scoring": "CPU scoring compared with transformers.pipeline and a plain ONNX Runtime loop, CPU time of one thread",
    "training": "CPU fine-tuning compared with a standard tutorial loop, CPU time of one thread",
    "encoders": "the English and the multilingual encoder fine-tuned on labelled texts of a folder (--data)",
    "gpu": "BERT-base on a GPU: scoring and fine-tuning as a fraction of peak FLOP/s",
    "sharding": "shard stage compared with tokenisation alone",
    "shards": "petastorm compared with a direct reader, as a fraction of a training step",
}


class Skipped(Exception):
    """The benchmark cannot run here; the message is the reason."""


def main() -> int:
    """Run the selected benchmarks and return the exit code."""
    listed = "\n".join(f"  {name:<10} {doc}" for name, doc in NAMES.items())
    parser = argparse.ArgumentParser(
        description=f"{__doc__}\n\n{listed}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", choices=[*NAMES, []], default=[], metavar="NAME")
    parser.add_argument("--customers", type=int, nargs="*", help="sizes, for benchmarks with sizes")
    parser.add_argument("--nights", type=int, help="number of nights, for nights")
    parser.add_argument("--data", help="folder with the files of the example companies")
    arguments = parser.parse_args()
    from benchmarks.figures import publish

    for name in [arguments.name] if arguments.name else NAMES:
        try:
            figures = importlib.import_module(f"benchmarks.{name}").run(arguments)
        except Skipped as reason:
            print(f"{name}: skipped: {reason}", file=sys.stderr)
            continue
        print(f"written to {publish(name, figures)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
