// Package cilog finds, in the log of a failed build, the lines that say why it
// failed: what is new against logs of the same job that passed, what speaks of
// an error, and what continues it (the frames under an exception, the notes
// under a compiler's error); not what only says again that it failed.
//
// It reads a log once, line by line. Each line gets a handful of features and,
// by logistic regression, a probability that somebody who looks for the cause
// would mark it; neighbouring lines that pass the threshold make a block. What a
// log that passed leaves behind is a bounded set of hashes of its masked lines.
// Time is linear in the log; memory does not grow with it.
//
// Sources: CiDiff (Hubner et al.), which diffs the logs of CI line by line and
// pairs rewritten ones, and whose marked logs judge this package
// (cilog/backtest); LogDiff and Brandt et al., "LogChunks: A Data Set for Build
// Log Analysis" (MSR 2020), on which chunks people take for the cause; Amar and
// Rigby, "Mining Historical Test Logs to Predict Bugs and Localize Faults in the
// Test Logs" (ICSE 2019), which keeps of the logs that passed their masked lines
// only; He et al., "Drain" (ICWS 2017), for masking.
package cilog
