// Wraps the SDK's client for the commands.
import type { Client } from '@inferwire/client'
import type { ConnectorStatus, ReceivedCard } from '@inferwire/protocol'
import type { BrokerTarget } from './broker-flags.ts'
import { readCaFile } from './ca-file.ts'
import { CliError, usageError } from './cli-error.ts'
import { EXIT } from './exit-code.ts'
import { exitOnInterrupt } from './interrupt.ts'
import { findCard } from './models/find-card.ts'
import { printable } from './table.ts'

/** A connection to a broker. */
export interface BrokerClient {
  readonly sdk: Client
  /** The retained model cards, sorted by name; warns on standard error about unreadable ones. @throws InferwireError */
  cards(): Promise<ReceivedCard[]>
  /** The retained statuses of all connectors; empty if this user may not read them. */
  statuses(): Promise<ConnectorStatus[]>
  /**
   * The retained card of one model. @throws CliError if the card is missing (the error suggests the most similar name)
   * or unreadable
   */
  card(model: string): Promise<ReceivedCard>
  close(): Promise<void>
}

// A reachable broker answers much sooner; a longer wait would only hide a wrong address.
const CONNECT_TIMEOUT_MAX_MS = 10_000

/**
 * Connects; from then on Ctrl-C ends the process at once, except during `cancellable`.
 * @throws InferwireError `broker_unreachable`, `not_authorized`; CliError for options that the SDK rejects
 */
export async function openClient(target: BrokerTarget): Promise<BrokerClient> {
  const { connect, InferwireError } = await import('@inferwire/client')
  exitOnInterrupt()
  const { timeoutMs } = target
  const client = await connect(target.url, {
    username: target.username,
    password: target.password,
    identity: target.identity,
    root: target.topics.root,
    mqttVersion: target.mqttVersion,
    connectTimeoutMs: Math.min(timeoutMs, CONNECT_TIMEOUT_MAX_MS),
    ca: target.caFile === undefined ? undefined : readCaFile(target.caFile),
  }).catch((error: unknown): never => {
    if (!(error instanceof InferwireError) || target.urlVariable === undefined) return refusedOption(error)
    const { code, message, retryable, cause } = error
    const where = ` The address comes from ${target.urlVariable}.`
    throw new InferwireError(code, `${message}${where}`, { retryable, cause })
  })
  const topicOf = (model: string): string => target.topics.card(model)
  const cards = (): Promise<ReceivedCard[]> => client.models({ timeoutMs, onUnreadable: warn })
  const warn = (name: string, mistake: string): void => {
    process.stderr.write(
      `warning: "${printable(topicOf(name))}" is not a model card: ${printable(mistake)}\n`,
    )
  }
  return {
    sdk: client,
    cards,
    statuses: () => client.connectors({ timeoutMs }).catch(noneIfForbidden),
    card: async (model) => {
      const onUnreadable = (_name: string, mistake: string): never => {
        throw unreadableCard(topicOf(model), mistake)
      }
      return (await client.model(model, { timeoutMs, onUnreadable })) ?? findCard(await cards(), model)
    },
    close: () => client.close(),
  }
}

/** Returns an empty list for an error that reports missing access rights. @throws any other error */
export function noneIfForbidden(error: unknown): [] {
  if ((error as { readonly code?: unknown }).code === 'not_authorized') return []
  throw error
}

// The SDK throws a TypeError for an invalid argument; here the arguments are command-line options.
function refusedOption(error: unknown): never {
  if (!(error instanceof TypeError)) throw error
  throw usageError(error.message, 'Correct the option; --help lists all of them.')
}

function unreadableCard(topic: string, mistake: string): CliError {
  return new CliError(
    EXIT.modelError,
    `the retained message on "${topic}" is not a model card: ${mistake}`,
    `Restart the connector to replace it, or clear it: mosquitto_pub -r -n -t '${topic}'`,
  )
}
