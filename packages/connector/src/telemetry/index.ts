// Writes the log and the problem log, and collects the figures for the metrics.
export { Histogram } from './histogram.ts'
export { createLog, type Log, type LogOptions, type LogSink } from './log.ts'
export { ProblemLog, problemFields } from './problem-log.ts'
export { OperationFigures, Telemetry, UNKNOWN_MODEL } from './telemetry.ts'
export { UpstreamFigures, type CircuitState } from './upstream-figures.ts'
