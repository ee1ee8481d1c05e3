// What operators see of the session: log lines and figures.
import type { SessionListener } from './session/index.ts'
import type { Log, Telemetry } from './telemetry/index.ts'

/** The part of a session's listener that only reports. */
export interface SessionNews extends Pick<SessionListener, 'ready' | 'unavailable'> {
  readonly lastError: Error | undefined
}

/** See the file's first line. */
export function sessionNews(brokerUrl: string, telemetry: Telemetry, log: Log): SessionNews {
  let lastError: Error | undefined
  return {
    get lastError() {
      return lastError
    },
    ready({ limits, isLost, filter }) {
      telemetry.isConnected = true
      telemetry.connections += 1
      if (isLost) {
        telemetry.sessionsLost += 1
        log.error(
          { event: 'session_lost' },
          'The broker forgot the session: requests that it had queued are gone.',
        )
      }
      const { sessionPresent, receiveMaximum } = limits
      log.info(
        { event: 'session_ready', broker: brokerUrl, filter, sessionPresent, receiveMaximum },
        `Connected to ${brokerUrl}, subscribed to ${filter}.`,
      )
    },
    unavailable({ error, retryInMs }) {
      telemetry.isConnected = false
      lastError = error
      log.warn(
        { event: 'session_unavailable', broker: brokerUrl, retryInMs },
        `No session with ${brokerUrl}: ${describeError(error)}`,
      )
    },
  }
}

/** Node's connection errors often have their text in the parts (AggregateError of several addresses). */
export function describeError(error: Error): string {
  if (!(error instanceof AggregateError) || error.errors.length === 0) return error.message
  return error.errors.map((part: unknown) => (part instanceof Error ? part.message : String(part))).join('; ')
}
