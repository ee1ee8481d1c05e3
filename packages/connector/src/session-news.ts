// Reports events of the sessions to operators: log lines and figures.
import type { SessionListener } from './session/index.ts'
import type { Log, Telemetry } from './telemetry/index.ts'

/** The part of a session's listener that only reports. */
export interface SessionNews extends Required<Pick<SessionListener, 'ready' | 'unavailable' | 'warned'>> {
  readonly lastError: Error | undefined
}

/** Reports events of the main session. */
export function sessionNews(brokerUrl: string, telemetry: Telemetry, log: Log): SessionNews {
  let lastError: Error | undefined
  return {
    get lastError() {
      return lastError
    },
    ready({ limits, isLost, filters }) {
      telemetry.isConnected = true
      telemetry.connections += 1
      if (isLost) {
        telemetry.lostSessions += 1
        log.error(
          { event: 'session_lost' },
          'The broker has lost the session, including the queued requests.',
        )
      }
      const { sessionPresent, receiveMaximum } = limits
      log.info(
        {
          event: 'session_ready',
          broker: brokerUrl,
          filters,
          sessionPresent,
          brokerReceiveMaximum: receiveMaximum,
        },
        `Connected to ${brokerUrl}, subscribed to ${filters.join(', ')}.`,
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
    warned({ event, message }) {
      if (event === 'ack_order_strict') telemetry.isAckOrderStrict = true
      log.warn({ event, broker: brokerUrl }, message)
    },
  }
}

/** Reports events of a lane's session, with the name of the lane's model. */
export function laneSessionNews(
  model: string,
  brokerUrl: string,
  telemetry: Telemetry,
  log: Log,
): Pick<SessionNews, 'ready' | 'unavailable' | 'warned'> {
  return {
    ready({ isLost, filters, limits: { sessionPresent } }) {
      if (isLost) telemetry.lostSessions += 1
      log.info(
        { event: 'lane_ready', model, broker: brokerUrl, filters, sessionPresent },
        `The lane of model "${model}" is connected, subscribed to ${filters.join(', ')}.`,
      )
    },
    unavailable({ error, retryInMs }) {
      log.warn(
        { event: 'lane_unavailable', model, broker: brokerUrl, retryInMs },
        `The lane of model "${model}" has no session with ${brokerUrl}; unless the lane reconnects soon, the main session serves the model's requests. ${describeError(error)}`,
      )
    },
    warned({ event, message }) {
      if (event === 'ack_order_strict') telemetry.isAckOrderStrict = true
      log.warn({ event, model, broker: brokerUrl }, message)
    },
  }
}

/**
 * Returns an error's text. An AggregateError of Node.js, which is thrown when several addresses failed, has no text of
 * its own.
 */
export function describeError(error: Error): string {
  if (!(error instanceof AggregateError) || error.errors.length === 0) return error.message
  return error.errors.map((part: unknown) => (part instanceof Error ? part.message : String(part))).join('; ')
}
