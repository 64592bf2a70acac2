"""Starts the page. `demo` is also what a Hugging Face Space serves."""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import sys

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")


def arguments(words: list[str]) -> argparse.Namespace:
    """The command line's arguments."""
    parser = argparse.ArgumentParser(description="SimFormer Studio, the page.")
    parser.add_argument("--host", help="address to listen at; 0.0.0.0 lets other machines in (default: only this one)")
    parser.add_argument("--port", type=int, help="port to listen at (default: the first free one from 7860 on)")
    parser.add_argument("--share", action="store_true", help="also make a public link that goes through gradio.live")
    parser.add_argument("--mcp", action="store_true", help="also serve the endpoints as tools for MCP clients")
    parser.add_argument("--data", metavar="DIR", help="folder data set: adds a tab with its truth beside predictions")
    parser.add_argument(
        "--models",
        metavar="DATASET",
        help="show these models alone: a folder in the weights folder (default: those that fit --data, or without "
        "--data those of every data set, each with a page of its own)",
    )
    parser.add_argument("--list", metavar="FILE", help="names its photos (default: its val.txt, or else all photos)")
    parser.add_argument(
        "--local-folders",
        action="store_true",
        help="let visitors name folders of this machine, to count their classes; not for public pages",
    )
    parser.add_argument(
        "--train",
        action=argparse.BooleanOptionalAction,
        help="let visitors train on --data on this machine (default: only where nobody else reaches the page)",
    )
    parser.add_argument(
        "--engine",
        choices=("torch", "openvino", "auto"),
        default="torch",
        help="what runs the networks: openvino (on CPUs, a package of its own) or auto, the faster (default: torch)",
    )
    options = parser.parse_args(words)
    if options.list and not options.data:
        parser.error("--list is a file in a data set, which --data names")
    if options.mcp and importlib.util.find_spec("mcp") is None:
        parser.error('--mcp needs the package mcp: pip install "gradio[mcp]"')
    if options.train and not options.data:
        parser.error("--train is for a data set, which --data names")
    return options


options = arguments(sys.argv[1:] if __name__ == "__main__" else [])

from starlette.middleware import Middleware  # noqa: E402

from simformer.errors import exit_on_error  # noqa: E402  (--help need not wait for gradio)
from simformer.splits import listed_classes  # noqa: E402
from simformer.trainings.own import OwnRuns  # noqa: E402
from simformer.ui.parts.uploads import FOLDER_VARIABLE, UploadQuota, use_own_folder  # noqa: E402

if __name__ == "__main__":
    use_own_folder()  # before Gradio asks where files go

from simformer.ui.page import build_page  # noqa: E402
from simformer.ui.parts.context import only_for_its_owner  # noqa: E402
from simformer.ui.parts.dataset import shown_models  # noqa: E402
from simformer.ui.parts.headers import SecurityHeaders  # noqa: E402
from simformer.ui.parts.models import Models  # noqa: E402
from simformer.ui.theme import HEAD, STYLES, WORDS, theme  # noqa: E402
from simformer.utils.apart import start_children  # noqa: E402

with exit_on_error():
    own_models = OwnRuns(options.data).models() if options.data else {}
    alone = only_for_its_owner(options.host, options.share)
    if options.data or options.models:  # one data set is asked for
        classes = listed_classes(options.data) if options.data else None
        models, others = Models(folder=options.models, classes=classes, own=own_models, engine=options.engine), []
    else:
        models, *others = shown_models(options.engine)
    demo = build_page(
        models,
        others,
        data=options.data,
        list_file=options.list,
        local_folders=options.local_folders,
        training=alone if options.train is None else options.train,
    )

if __name__ == "__main__":
    try:
        demo.queue(max_size=64).launch(
            server_name=options.host,
            server_port=options.port,
            share=options.share,
            mcp_server=options.mcp,
            theme=theme(),
            css_paths=STYLES,
            head=HEAD,
            ssr_mode=False,
            max_file_size="20mb",
            allowed_paths=[],
            enable_monitoring=False,
            app_kwargs={
                "middleware": [
                    Middleware(SecurityHeaders),
                    Middleware(UploadQuota, folder=os.environ[FOLDER_VARIABLE]),
                ]
            },
            run_history=False,
            footer_links=["api", "settings"],
            i18n=WORDS,
            prevent_thread_lock=True,
        )
    except OSError as error:
        sys.exit(f"Error: {error}")
    # Only now: loading them beside the page would keep its first visitor waiting.
    start_children()
    models.start()
    # As Ctrl-C: a training that was begun here is saved and stopped, what visitors sent is deleted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    demo.block_thread()
    for each in (models, *others):
        each.close()
