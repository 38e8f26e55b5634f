"""Show a whole round on invented data: train, open a round at a stand-in for Numerai's server, predict, check, send.

Say --config conf/round-demo.yml, as `make round-demo` does.
"""

from eraflow.cli import job, leave
from eraflow.pipeline.round_demo import demo

if __name__ == "__main__":
    leave(job(__doc__ or "", demo, lazily=True))
