// What the way to a model server is opened with, whatever the transport.
import type { Dialect } from '@inferwire/protocol'
import type { TlsConfig } from '../config/index.ts'
import type { ErrorText } from './error-text.ts'

/** How a call proves who we are; see the credential room. */
export interface CallCredential {
  /** Header list for a call to this origin. */
  headers(origin: string): readonly string[] | Promise<readonly string[]>
  /** Reads the secret again; true when it changed, so that one more try makes sense. */
  refresh?(): boolean | Promise<boolean>
}

/** See the file's first line. */
export interface UpstreamOptions {
  /** Base URL of the model server; its scheme chooses the transport. */
  readonly url: string
  /** The host to name where it differs from the address (Istio gateways route by it). */
  readonly host: string | undefined
  readonly tls: TlsConfig
  readonly credential: CallCredential
  /** The model's name on its server. */
  readonly model: string
  /** The dialects that the server may speak: `facts` asks about these. */
  readonly dialects: readonly Dialect[]
  /** The configured versions of the model: `facts` asks about each. */
  readonly versions: readonly string[]
  /**
   * Most calls that run or still wait for their connection; more are `upstream_unreachable`. It must be above what the
   * gates let through.
   */
  readonly callsMax: number
  readonly responseBytesMax: number
  /** What of a server's error text goes out. */
  readonly errorText: ErrorText
}
