"""Drift detectors that keep a stated time between false alarms: pure, streaming, bounded.

A window of traffic gives each signal one reading (`reading`): a rate, a quantile, a mean of random Fourier
features. It is compared with the same weekday and hour before (`season`), its surprise becomes an exactly
uniform rank among all earlier surprises (`ranks`), and a CUSUM adds the ranks up (`chart`) to a threshold
whose mean time between false alarms is computed. `detector` is these three in a row, `panel` many of them
under one budget, `shape` says step or slope, `evidence` which queries, terms and segments it comes from.
"""
