// Sets aside a request that crashed the process on each attempt: publishes a dead letter, and logs and counts the
// request.
import type { Problem } from '@inferwire/protocol'
import type { Exchange } from './exchange.ts'
import { deadLetterBody, EXECUTIONS_MAX } from './poison/index.ts'
import type { Reply } from './reply/index.ts'
import type { PublishResult } from './step.ts'
import type { Log, Telemetry } from './telemetry/index.ts'

/** Dependencies of `setAside`. */
export interface SetAsideParts {
  readonly publish: (reply: Reply) => Promise<PublishResult>
  readonly deadLetterTopic: string | undefined
  readonly telemetry: Telemetry
  readonly log: Log
}

/** Publishes the request to the dead-letter topic, if there is one, and logs it without its payload. */
export async function setAside(exchange: Exchange, problem: Problem, parts: SetAsideParts): Promise<void> {
  const { telemetry, log, publish, deadLetterTopic } = parts
  telemetry.poisonRequests += 1
  const { topic, properties, payload } = exchange.delivery
  const attempts = EXECUTIONS_MAX
  let result: PublishResult | undefined
  if (deadLetterTopic !== undefined) {
    const letter = { topic, properties, payload, attempts, reason: problem.message }
    result = await publish({
      topic: deadLetterTopic,
      payload: deadLetterBody(letter, new Date()),
      qos: 1,
      retain: false,
      properties: { contentType: 'application/json', payloadFormatIndicator: 1 },
    })
  }
  log.error(
    { event: 'request_set_aside', topic, model: exchange.modelName, attempts, deadLetterTopic, result },
    'A request crashed the connector on each attempt. It was answered with "internal" and is not executed again.',
  )
}
