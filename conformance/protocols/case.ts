// The types of the contract suite: a case is one request to one model, with the result that its client must receive.
import type { ConfigInput } from '@inferwire/connector'
import type { RequestProperties } from '../fixtures/mqtt-client.ts'
import type { RealServer } from './servers.ts'
import type { SituationName } from './situations.ts'
import type { WayName } from './ways.ts'

/** A model server of the suite: a real server, a misbehaving server of the rig, or `nothing` (a closed port). */
export type ServerName =
  RealServer | 'gateway' | 'openaiGateway' | 'generateGateway' | 'inferStreamGateway' | 'nothing'

/** The options of an exposed model, without its address. */
export type ModelOptions = Omit<NonNullable<ConfigInput['models']>[string], 'url'>

/** A model on one of the servers. */
export interface TestedModel {
  readonly server: ServerName
  /** The model's name on the server. */
  readonly name: string
  /** @default http */
  readonly transport?: 'grpc'
  /** Distinguishes models that differ only in their options. */
  readonly label?: string
  readonly options?: ModelOptions
}

/** What a body must match: an exact text, exact bytes, a pattern, or members that its JSON contains. */
export type BodyCheck = string | Buffer | RegExp | object

/** One request and its result. */
export interface ProtocolCase {
  readonly model: TestedModel
  /** The operation, the dialect of the body, and the transport to the server. */
  readonly way: WayName
  /** Determines the code and, except for `upstream_error`, the status of the reply. */
  readonly situation: SituationName
  /** A phrase for the table: what is special about the request or the server's answer. */
  readonly what: string
  /** @default an empty body */
  readonly body?: string | Buffer
  readonly properties?: RequestProperties
  /** The version in the topic. @default none */
  readonly version?: string
  /** Whether the gateway leaves the call unanswered; the case then proves that the connector ends the call. */
  readonly holds?: boolean
  /** Cancels the request after this number of parts. */
  readonly cancelAfter?: number
  /** The server's own status, if the code is `upstream_error`. */
  readonly status?: number
  /** The body of the reply. Checked in addition to the form of an error. */
  readonly reply?: BodyCheck
  /** The parts of a streamed answer, before the reply that ends it. @default no stream */
  readonly parts?: readonly BodyCheck[]
  /** User properties of the reply, in addition to `status` and `code`. */
  readonly user?: Readonly<Record<string, string>>
  /**
   * Sends the request this many times at once. At least one reply must have the result of the situation; the other
   * replies must be successful answers.
   * @default 1
   */
  readonly simultaneous?: number
  /** A phrase that names what the server lacks. The case proves what a client receives for such a request. */
  readonly absence?: string
}

/** Returns a function that names a model on a server; models with options need a label. */
export function modelsOn(
  server: ServerName,
  transport?: 'grpc',
): (name: string, label?: string, options?: ModelOptions) => TestedModel {
  return (name, label, options) => ({
    server,
    name,
    ...(transport === undefined ? {} : { transport }),
    ...(label === undefined ? {} : { label }),
    ...(options === undefined ? {} : { options }),
  })
}

/** Returns the name under which the connector exposes a model. */
export function exposedName({ server, transport, name, label }: TestedModel): string {
  return [server, transport, name, label].filter((part) => part !== undefined).join('-')
}
