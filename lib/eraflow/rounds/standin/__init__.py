"""A stand-in for Numerai's server, on loopback only: for tests and for `make round-demo`."""

from eraflow.rounds.standin.faults import Fault
from eraflow.rounds.standin.server import served
from eraflow.rounds.standin.state import StandIn

__all__ = ["Fault", "StandIn", "served"]
