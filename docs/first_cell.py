# In Colab and Kaggle the package is missing: fetch and install it. Elsewhere, this cell does nothing.
import importlib.util
import os
import subprocess
import sys

if importlib.util.find_spec("colorize_lib") is None:
    repository = "https://github.com/OWNER/colorize"
    try:
        if not os.path.exists("colorize/pyproject.toml"):
            subprocess.run(["git", "clone", "--quiet", "--depth=1", repository, "colorize"], check=True)
        install = [sys.executable, "-m", "pip", "install", "--quiet"]
        subprocess.run(
            [*install, "-e", "./colorize[lessons]", "-e", "./colorize/colorize_course"], check=True
        )
    except (subprocess.CalledProcessError, OSError):
        raise ConnectionError(
            "The course could not be fetched and installed. Is there a network? "
            "In Kaggle: Settings, Internet on. Then run this cell again."
        ) from None
    sys.path.insert(0, os.path.abspath("colorize"))
    os.chdir("colorize/lessons")
