"""Take the picture of a report that the documentation shows.

Run `.venv/bin/python deploy/report_image.py REPORT`, with the path of a report.html. Needs Chromium.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

IMAGE = Path(__file__).resolve().parent.parent / "docs" / "images" / "report.png"
SIZE, NUM_COLOURS, MAX_BYTES = "1280,1600", 160, 300_000


def main(report: Path) -> int:
    """Write docs/images/report.png with few colours, so that it stays small."""
    from PIL import Image

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("error: Chromium was not found. Install it, or add it to PATH.", file=sys.stderr)
        return 2
    with TemporaryDirectory() as scratch:
        shot = Path(scratch) / "report.png"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={SIZE}"]
        url = report.resolve().as_uri()
        subprocess.run([chromium, *options, f"--screenshot={shot}", url], check=True, capture_output=True)
        Image.open(shot).convert("RGB").quantize(NUM_COLOURS).save(IMAGE, optimize=True)
    size = IMAGE.stat().st_size
    print(f"{IMAGE}: {size:,} bytes")
    return int(size > MAX_BYTES)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
