// What the checks share: the options, the configuration, the two MQTT identities and their connections.
import type { ConnectorConfig } from '@inferwire/connector'
import type { TopicSpace } from '@inferwire/protocol'
import type { ClusterFlags } from './cluster/cluster-flags.ts'
import type { ProbeLink } from './mqtt/probe-link.ts'
import type { ProbeTarget } from './mqtt/probe-target.ts'

/** One MQTT user: the connector's, or a client's. */
export interface Side {
  /** For messages: `the connector (user "inferwire")`, `the client (user "ann")`. */
  readonly who: string
  readonly target: ProbeTarget
}

/** A client's MQTT user, and its level in topics. */
export interface ClientSide extends Side {
  readonly identity: string
}

/** A side, or the reason why the checks do not know it. */
export type Known<Value> = { readonly value: Value } | { readonly missing: string }

/** What the checks share. */
export interface DoctorContext {
  /** Time limit of each check, in milliseconds. */
  readonly timeoutMs: number
  /** How long a message may take that is expected to arrive, in milliseconds. */
  readonly messageMs: number
  /** A random text that makes the topics and client identifiers of this run unique. */
  readonly nonce: string
  /** Whether models may be run. */
  readonly runsSamples: boolean
  /** Path of the configuration file; undefined without one. */
  readonly configFile: string | undefined
  /** The error that loading the configuration threw. */
  readonly configError: unknown
  readonly config: Known<ConnectorConfig>
  readonly topics: TopicSpace
  readonly clusterFlags: ClusterFlags
  readonly env: NodeJS.ProcessEnv
  readonly connector: Known<Side>
  readonly client: Known<ClientSide>
  /** The sides that are known: the connector's first. */
  readonly sides: readonly Side[]
  /** The open connections, which `closeLinks` closes. */
  readonly links: Links
}

/** The connections that checks have opened. */
export interface Links {
  connector?: ProbeLink
  client?: ProbeLink
  /** Opened early and left without traffic, to find time limits of proxies. */
  idle?: ProbeLink
}

/** Closes all connections that checks have opened. */
export async function closeLinks({ connector, client, idle }: Links): Promise<void> {
  await Promise.all([connector?.close(), client?.close(), idle?.close()])
}
