// Writes the connector's log: one line per event, as JSON, or as text on a terminal.
import { pino, type Logger } from 'pino'

/** The connector's logger. Never log payloads or secrets. */
export type Log = Logger

/** Level and format of the log. */
export interface LogOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  /** `auto` is `pretty` on a terminal, otherwise `json`. */
  readonly format: 'auto' | 'json' | 'pretty'
}

/** The destination of log lines; standard error by default, because standard output is for data. */
export interface LogSink {
  readonly isTTY?: boolean
  write(text: string): unknown
}

const LEVEL_NAMES: Record<number, string> = { 20: 'DEBUG', 30: 'INFO', 40: 'WARN', 50: 'ERROR', 60: 'FATAL' }
/** Matches control, line-breaking, bidirectional and zero-width characters, which could manipulate a terminal. */
export const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

/** Creates a logger that writes complete lines synchronously, so that nothing is lost if the process dies. */
export function createLog(options: LogOptions, sink: LogSink = process.stderr): Log {
  const isPretty = options.format === 'pretty' || (options.format === 'auto' && sink.isTTY === true)
  const stream = isPretty
    ? { write: (line: string) => void sink.write(prettyLine(line)) }
    : { write: (line: string) => void sink.write(line) }
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  )
}

// "12:00:01.250 WARN  message  key=value key=value"
function prettyLine(line: string): string {
  const { level, time, msg, ...rest } = JSON.parse(line) as Record<string, unknown>
  const fields = Object.entries(rest).map(
    ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  const name = typeof level === 'string' ? level.toUpperCase() : LEVEL_NAMES[Number(level)]
  const text = [String(time).slice(11, 23), String(name).padEnd(5), String(msg), ...fields].join('  ')
  return `${text.replaceAll(UNPRINTABLE, '\ufffd')}\n`
}
