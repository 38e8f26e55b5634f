"""Whether what is live still is what validation eras promised: charts of scores, drift of rows, and what follows."""
