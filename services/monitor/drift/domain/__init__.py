"""Drift detectors that keep a stated time between false alarms: pure, streaming, bounded.

A window of traffic gives each signal one sample (`sample`): a rate, a quantile, a mean of random Fourier
features. It is compared with the same weekday and hour before (`season`), what the window before already
said is taken out, the rest becomes an exactly uniform rank among all earlier ones (`ranks`), and a CUSUM
adds the ranks up (`cusum`) to a threshold whose mean time between false alarms is computed. `detector` is
these in a row, `detector_group` many of them under one budget, `state_machine` all of them with what is
remembered; `shape` says step or slope, `cause` bug or drift, `evidence` which queries, terms and segments an
alarm comes from.
"""
