"""What is done to the predictions of several models within each era: weights, blends, neutralisation."""
