// The SDK, with the options of the command line and what the commands need of it.
import { PROPERTY, type ReceivedCard } from '@inferwire/protocol'
import type { BrokerTarget } from './broker-flags.ts'
import { readCaFile } from './ca-file.ts'
import { CliError, usageError } from './cli-error.ts'
import { EXIT } from './exit-code.ts'
import type { Answer } from './infer/infer-output.ts'
import type { ShownRequest } from './infer/show-command.ts'
import { findCard } from './models/find-card.ts'
import { printable } from './table.ts'

/** A connection to a broker. */
export interface BrokerClient {
  /** Sends a request and waits for its answer. @throws InferwireError */
  ask(request: ShownRequest): Promise<Answer>
  /** The retained cards of all models, by name; what is no card is named on standard error. @throws InferwireError */
  cards(): Promise<ReceivedCard[]>
  /** The retained card of one model. @throws CliError with the nearest name when there is none, or why it is no card */
  card(model: string): Promise<ReceivedCard>
  close(): Promise<void>
}

// A broker that is there answers much sooner; waiting longer only hides a wrong address.
const CONNECT_TIMEOUT_MAX_MS = 10_000

/**
 * Connects; from here on Ctrl-C ends the process at once.
 * @throws InferwireError `broker_unreachable`, `not_authorized`; CliError for options that the SDK refuses
 */
export async function openClient(target: BrokerTarget): Promise<BrokerClient> {
  const { connect } = await import('@inferwire/client')
  process.once('SIGINT', () => process.exit(EXIT.interrupted))
  const { timeoutMs } = target
  const client = await connect(target.url, {
    username: target.username,
    password: target.password,
    identity: target.identity,
    root: target.topics.root,
    mqttVersion: target.mqttVersion,
    connectTimeoutMs: Math.min(timeoutMs, CONNECT_TIMEOUT_MAX_MS),
    ca: target.caFile === undefined ? undefined : readCaFile(target.caFile),
  }).catch(refusedOption)
  const topicOf = (model: string): string => target.topics.card(model)
  const cards = (): Promise<ReceivedCard[]> => client.models({ timeoutMs, onUnreadable: warn })
  const warn = (name: string, mistake: string): void => {
    process.stderr.write(`warning: "${printable(topicOf(name))}" is no model card: ${printable(mistake)}\n`)
  }
  return {
    cards,
    card: async (model) => {
      const onUnreadable = (_name: string, mistake: string): never => {
        throw unreadableCard(topicOf(model), mistake)
      }
      return (await client.model(model, { timeoutMs, onUnreadable })) ?? findCard(await cards(), model)
    },
    close: () => client.close(),
    ask: async ({ model, operation, body, contentType }) => {
      const reply = await client.infer(model, body?.bytes, { operation, contentType, timeoutMs })
      return {
        model,
        operation,
        status: reply.status,
        durationMs: reply.durationMs,
        serverTiming: reply.serverTiming,
        contentType: reply.contentType,
        inferenceHeaderContentLength: reply.headers[PROPERTY.inferenceHeaderContentLength],
        body: reply.body,
      }
    },
  }
}

// The SDK's TypeErrors are about its arguments, which are options of the command line here.
function refusedOption(error: unknown): never {
  if (!(error instanceof TypeError)) throw error
  throw usageError(error.message, 'Correct the option; --help lists all of them.')
}

function unreadableCard(topic: string, mistake: string): CliError {
  return new CliError(
    EXIT.modelError,
    `what is retained on "${topic}" is no model card: ${mistake}`,
    `Find out who publishes it; a restarted connector replaces it. To clear it: mosquitto_pub -r -n -t '${topic}'`,
  )
}
