// The options of a client for one model server, for any transport.
import type { Dialect, Transport } from '@inferwire/protocol'
import type { TlsConfig, TlsFilesNews } from '../config/index.ts'
import type { Deadline } from '../step.ts'
import type { ErrorText } from './error-text.ts'
import type { StreamLimits } from './stream-clock.ts'

/** Authenticates the connector to a model server; implemented in the folder `credential/`. */
export interface CallCredential {
  /**
   * Returns the headers for a call to this origin, as a flat name/value list: the same array until the secret changes.
   * A promise settles before the deadline passes.
   */
  headers(origin: string, deadline: Deadline): readonly string[] | Promise<readonly string[]>
  /**
   * Obtains the secret again, because the server rejected a call with the headers `used`. Returns whether the headers
   * differ now, so that one retry may succeed.
   */
  refresh?(used: readonly string[], deadline: Deadline): boolean | Promise<boolean>
}

/** Options of `openUpstream`. */
export interface UpstreamOptions {
  /** Base URL of the model server. */
  readonly url: string
  /** @default http */
  readonly transport?: Transport
  /** The Host to send, if it differs from the host of `url` (Istio gateways route by it). */
  readonly host: string | undefined
  readonly tls: TlsConfig
  /** Receives the mistakes in rotated TLS files. @default they are not reported */
  readonly tlsNews?: TlsFilesNews
  readonly credential: CallCredential
  /** Whether it is safe to run the model twice for one request. @default true */
  readonly isRepeatable?: boolean
  /** The model's name on its server. */
  readonly model: string
  /** Dialects that the server may support; `facts` queries each of them. */
  readonly dialects: readonly Dialect[]
  /** Configured versions of the model; `facts` queries each of them. */
  readonly versions: readonly string[]
  /**
   * Maximum number of calls that are in flight or waiting for a connection; further calls fail with
   * `upstream_unreachable`. Must be higher than the number of calls that the gates admit.
   */
  readonly callsMax: number
  readonly responseBytesMax: number
  readonly stream: StreamLimits
  /** How much of the server's error text is sent to clients. */
  readonly errorText: ErrorText
}
