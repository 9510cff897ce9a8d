"""The command line: `crm-spark <command>`, and the same commands as `jobs/<command>.py` for spark-submit and torchrun."""
