// The HTTP/2 connection to one model server, on grpc-js: options, replacement of a dead connection, close.
import { createSecureContext } from 'node:tls'
import {
  Channel,
  connectivityState,
  credentials,
  type ChannelCredentials,
  type ChannelOptions,
} from '@grpc/grpc-js'
import type { TlsTrust } from '../../config/index.ts'

/** Options of `GrpcConnection`. */
export interface ConnectionTarget {
  /** Base URL of the model server; its path is ignored. */
  readonly url: string
  /** The `:authority` to send, if it differs from the host of `url`. */
  readonly host: string | undefined
  /** For a URL with `https:`. */
  readonly trust: TlsTrust
  /** The name in the server's certificate, if it differs from the host of `url`. */
  readonly serverName: string | undefined
  readonly responseBytesMax: number
}

/** A call on a channel; the library does not export its type. */
export type ChannelCall = ReturnType<Channel['createCall']>

/** A call that the connection can end. */
export interface OpenCall {
  cancel(): void
}

// A response also has a JSON part, and names and shapes of tensors; the endpoint checks the exact size of its body.
const MESSAGE_OVERHEAD_BYTES = 64 * 1024
// One window's worth of a response can be in flight. The default of 64 KiB would stop a tensor of 600 KB nine times.
const WINDOW_BYTES = 1024 * 1024
// gRPC servers close a connection that sends pings more often than every 5 minutes (grpc's default for servers).
const KEEP_ALIVE_MS = 310_000

/**
 * One channel, with one connection for each address of the host, which share the calls. The channel connects on the
 * first call, and again after a failure.
 */
export class GrpcConnection {
  readonly #target: string
  readonly #credentials: ChannelCredentials
  readonly #options: ChannelOptions
  readonly #calls = new Set<OpenCall>()
  #channel: Channel
  #answeredAtMs = -Infinity
  #idle: (() => void) | undefined

  constructor({ url, host, trust, serverName, responseBytesMax }: ConnectionTarget) {
    const { protocol, hostname, port, host: ownHost } = new URL(url)
    const isSecure = protocol === 'https:'
    this.#target = `dns:${hostname}:${port === '' ? (isSecure ? 443 : 80) : port}`
    this.#credentials = isSecure ? secureCredentials(trust) : credentials.createInsecure()
    this.#options = {
      'grpc.default_authority': host ?? ownHost,
      ...(serverName === undefined ? {} : { 'grpc.ssl_target_name_override': serverName }),
      'grpc.max_receive_message_length': responseBytesMax + MESSAGE_OVERHEAD_BYTES,
      // Admission limits requests.
      'grpc.max_send_message_length': -1,
      'grpc-node.flow_control_window': WINDOW_BYTES,
      'grpc.keepalive_time_ms': KEEP_ALIVE_MS,
      // The circuit and the retries decide how often a failing server is called.
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1_000,
      'grpc.dns_min_time_between_resolutions_ms': 1_000,
      // The connector retries, also the calls that a server has refused unprocessed.
      'grpc.enable_retries': 0,
      // A headless Service has one address for each pod.
      'grpc.service_config': '{"loadBalancingConfig":[{"round_robin":{}}]}',
      'grpc.service_config_disable_resolution': 1,
      // The HTTP transport ignores proxy variables too.
      'grpc.enable_http_proxy': 0,
      'grpc.enable_channelz': 0,
      'grpc.use_local_subchannel_pool': 1,
    }
    this.#channel = this.#newChannel()
  }

  /** The current channel, to which a call belongs. */
  get channel(): Channel {
    return this.#channel
  }

  get isReady(): boolean {
    return this.#channel.getConnectivityState(false) === connectivityState.READY
  }

  /** Registers a call until `ended`. */
  began(call: OpenCall): void {
    this.#calls.add(call)
  }

  /** Must be called once for each call that began. */
  ended(call: OpenCall): void {
    this.#calls.delete(call)
    if (this.#calls.size === 0) this.#idle?.()
  }

  /** Records that the server has answered a call on the given channel. */
  answered(channel: Channel): void {
    if (channel === this.#channel) this.#answeredAtMs = performance.now()
  }

  /**
   * Connects anew for all further calls if the server has answered no call since `sinceMs` (monotonic clock): the
   * connection may be dead although TCP has not detected it yet. Calls in flight keep the old connection until they end.
   */
  replaceSilent(channel: Channel, sinceMs: number): void {
    if (channel !== this.#channel || this.#answeredAtMs >= sinceMs) return
    this.#channel = this.#newChannel()
    channel.close()
  }

  /** Closes the connection after the calls in flight. */
  async close(): Promise<void> {
    if (this.#calls.size > 0) await new Promise<void>((resolve) => (this.#idle = resolve))
    this.#channel.close()
  }

  /** Ends all calls, and closes the connection. */
  destroy(): Promise<void> {
    for (const call of this.#calls) call.cancel()
    this.#channel.close()
    return Promise.resolve()
  }

  #newChannel(): Channel {
    return new Channel(this.#target, this.#credentials, this.#options)
  }
}

function secureCredentials({ rejectUnauthorized, ...files }: TlsTrust): ChannelCredentials {
  return credentials.createFromSecureContext(createSecureContext(files), { rejectUnauthorized })
}
