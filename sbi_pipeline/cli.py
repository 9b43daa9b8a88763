"""The command `sbi-pipeline`: a new study, and looking after one from outside Snakemake.

sbi-pipeline init       make a folder with a small study that runs, to be changed into your own
sbi-pipeline check      is the configuration right? what Snakemake would refuse, and where it stands
sbi-pipeline why        what would run, and why, from the specifications beside the results
sbi-pipeline head       run snakemake so that nothing is lost when it ends: see docs/cluster.md
sbi-pipeline status     how far the study is, also while it runs: rows, rounds, trainings, chains,
                        what is at work, what failed; --watch renews it, --serve is a live page
sbi-pipeline seal       make each array of finished shards one file; growing one undoes it
sbi-pipeline verify     read every committed row and name what is damaged; change nothing
sbi-pipeline repair     delete damaged chunks; the next snakemake simulates just those rows; write
                        damaged zarr.json anew, from the journal
sbi-pipeline clean      list results and simulations that no given configuration names any more,
                        with sizes; with --delete, delete them
sbi-pipeline export     write a posterior in the format of another program, or as a table
sbi-pipeline bundle     put a finished campaign into one archive, from which others reproduce it
sbi-pipeline unbundle   open such an archive, its checksums verified
sbi-pipeline cite       print how a campaign was done, for a paper, and the works to be cited
sbi-pipeline doctor     what is installed here, and what of it would stop a run
sbi-pipeline schema     print the schema of a configuration, for editors
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import __version__, commands, head


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the commands above."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["head"]:
        head.main(given[1:])
        return
    chosen = _parser().parse_args(given)
    try:
        chosen.run(chosen)
    except (ValueError, OSError) as error:
        sys.exit(str(error))


def _parser() -> argparse.ArgumentParser:
    told = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("sbi-pipeline", description=__doc__, formatter_class=told)
    parser.add_argument("--version", action="version", version=f"sbi-pipeline {__version__}")
    known = parser.add_subparsers(required=True, metavar="command")
    known.add_parser("head", help="run snakemake so that nothing is lost when it ends")
    commands.add_commands(known)
    return parser


if __name__ == "__main__":
    main()
