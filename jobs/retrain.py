"""Refit a champion on newer data, or promote a recipe that is better: what slots with run: champion:NAME send.

Bring data in, fit what has changed, compare on paired out-of-fold eras, decide. A stopped call is gone on with.
Exit codes: 0 done, 1 try again, 2 bad config, 3 nothing is due. See docs/retrain.md.
"""

from eraflow.cli import Option, job, leave
from eraflow.pipeline.retraining import config_of_champion, retrain

OPTIONS = (
    Option("--install", "install", "RUN", "make this finished run the champion that retrain.champion names"),
    Option("--now", "now", "", "refit and compare now, whatever the schedule says", is_switch=True),
    Option("--rollback", "rollback", "", "make the run that was the champion before it again", is_switch=True),
    Option("--history", "history", "", "show all decisions, each made again from its manifest", is_switch=True),
)

if __name__ == "__main__":
    leave(job(__doc__ or "", retrain, options=OPTIONS, read=config_of_champion, lazily=True))
