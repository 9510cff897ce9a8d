"""Finds a Java version that Spark supports. Standard library only: the set-up runs it before packages are installed."""

import glob
import os
import re
import shutil
import subprocess
import sys

SUPPORTED = (17, 21)
_USUAL_PLACES = (
    "/usr/lib/jvm/*",
    "/opt/java/*",
    "/opt/homebrew/opt/openjdk@*/libexec/openjdk.jdk/Contents/Home",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    os.path.expanduser("~/.sdkman/candidates/java/*"),
)
HOW_TO_INSTALL = (
    "Java 17 or 21 is needed and was not found. Install it with `apt install openjdk-17-jre-headless` (Debian, Ubuntu), "
    "`dnf install java-21-openjdk-headless` (Fedora) or `brew install openjdk@21` (macOS), then run the command again."
)


class JavaNotFoundError(RuntimeError):
    """No supported Java version is installed."""


def _candidates() -> list[str]:
    homes = [os.environ.get("JAVA_HOME", "")]
    on_path = shutil.which("java")
    if on_path:
        homes.append(os.path.dirname(os.path.dirname(os.path.realpath(on_path))))
    for pattern in _USUAL_PLACES:
        homes.extend(sorted(glob.glob(pattern), reverse=True))
    return [home for home in dict.fromkeys(homes) if home and os.path.exists(os.path.join(home, "bin", "java"))]


def is_usable(home: str) -> bool:
    """Whether `home` holds Java 17 or 21 with the vector module that Spark requires."""
    java = os.path.join(home, "bin", "java")
    try:
        version = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60).stderr
        modules = subprocess.run([java, "--list-modules"], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    major = re.search(r'version "(\d+)', version)
    return major is not None and int(major.group(1)) in SUPPORTED and "jdk.incubator.vector" in modules


def find_java() -> str:
    """Find the first supported Java home: `JAVA_HOME`, then `PATH`, then the usual directories.

    Raises:
        JavaNotFoundError: the message says what to install.
    """
    for home in _candidates():
        if is_usable(home):
            return home
    raise JavaNotFoundError(HOW_TO_INSTALL)


if __name__ == "__main__":
    try:
        print(find_java())
    except JavaNotFoundError as error:
        sys.exit(str(error))
